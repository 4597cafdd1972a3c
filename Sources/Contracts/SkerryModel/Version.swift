/// Which Skerry this is, for people, logs and other boxes.
package enum SkerryVersion {
    package static let text = "0.1.0"
    /// No box of this version runs before this moment (2026-11-01), whatever its clock says: milliseconds since 1970.
    package static let earliestMilliseconds: UInt64 = 1_793_491_200_000
}
