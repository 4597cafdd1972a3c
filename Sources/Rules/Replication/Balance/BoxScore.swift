package import SkerryModel

/// How full a box is: of all that can run out, what is nearest to its end (FEDERATION.md §5).
package enum BoxScore {
    package static let weightMin = 0.25
    package static let weightMax = 64.0
    /// Connections that a box of weight 1 is meant to bear.
    package static let connectionsPerWeight = 2_500.0
    /// A loop that is so late is full.
    package static let loopLagFull = 50.0

    /// Connections that the box bears: what its size says, and never more than it takes.
    package static func capacity(_ load: BoxLoad) -> Double {
        let bySize = max(Self.weightMin, load.weight) * Self.connectionsPerWeight
        return load.connectionsMax > 0 ? min(bySize, Double(load.connectionsMax)) : bySize
    }

    /// - Parameter more: connections on their way to it that its load does not count yet.
    package static func of(_ load: BoxLoad, more: Int = 0) -> Double {
        let connections = (Double(load.connections) + Double(more)) / Self.capacity(load)
        return [connections, load.memory, load.descriptors, load.processor, load.loopLagMilliseconds / Self.loopLagFull].reduce(0) { max($0, $1) }
    }
}
