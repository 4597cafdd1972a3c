import Replication
import SkerryModel

/// Simulated boxes on a simulated clock, network and disk (FEDERATION.md §7): the same run for the same seed.
package struct BoxSimulation {
    package init() {}
}
