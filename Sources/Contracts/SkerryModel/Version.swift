/// Which Skerry this is, for people, logs and other boxes.
package enum SkerryVersion {
    package static let text = "0.1.0"
}
