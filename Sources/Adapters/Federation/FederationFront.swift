import Replication
package import SkerryModel
package import SkerryNode

/// The federation as administrators and clients see it: what the service, membership and load know, as one list.
package final class FederationFront: FederationControl {
    private let service: FederationService
    private let membership: MembershipService
    private let load: LoadFeature

    package init(service: FederationService, membership: MembershipService, load: LoadFeature) {
        self.service = service
        self.membership = membership
        self.load = load
    }

    package var federation: FederationID? { self.service.view.federation }
    package var pairing: any PairingControl { self.membership }
    package var sisters: [SisterBox] { self.load.sisters(among: self.service.view.members, except: self.service.node.box) }

    package func assign(previous: BoxID?, token: String?) async throws(SkerryError) -> BoxAssignment { self.load.assign(previous: previous, token: token) }
    package func drain(_ isOn: Bool) async throws(SkerryError) { self.load.drain(isOn) }

    /// Bytes of an entry on its way, roughly.
    private static let entryBytes: UInt64 = 250
    /// A clock further away than this is worth a word.
    private static let clockMillisecondsMax: Int64 = 60_000

    package func boxes() async -> [BoxOverview] {
        let view = self.service.view
        let own = self.service.node.box
        let members = view.members
        guard !members.isEmpty else { return [] }
        let sync = view.sync
        let held = await self.service.replica.entryCount()
        let known = held + (sync.values.map(\.ahead).max() ?? 0)
        let now = self.service.node.clock.monotonic()
        var boxes: [BoxOverview] = []
        for member in members.values {
            var box = BoxOverview(
                box: member.box, name: member.name, standing: member.standing, isSelf: member.box == own, isIssuer: member.isIssuer)
            self.load.fill(&box)
            box.entriesKnown = known
            if box.isSelf {
                box.entriesHeld = held
                box.sync.quarantine = view.quarantine
            } else {
                box.sync = sync[member.box] ?? PeerSync()
                let lacks = box.sync.behind
                box.entriesHeld = known > lacks ? min(known, held + box.sync.ahead) - min(lacks, held) : 0
                box.backlogEntries = lacks
                box.backlogBytes = lacks * Self.entryBytes
                box.backlogSeconds = view.backlogSeconds(of: member.box, now: now)
            }
            if member.standing == .removed, !member.reason.isEmpty { box.reason = member.reason }
            (box.trouble, box.remedy) = self.trouble(with: box)
            boxes.append(box)
        }
        return boxes.sorted { Self.rank($0) < Self.rank($1) }
    }

    private static func rank(_ box: BoxOverview) -> (Int, String, BoxID) { (box.standing == .removed ? 2 : box.isSelf ? 0 : 1, box.name, box.box) }

    /// What is wrong and what to do about it.
    private func trouble(with box: BoxOverview) -> (String?, String?) {
        if box.standing == .removed { return (nil, nil) }
        switch box.sync.quarantine {
        case .rollback:
            return ("It was restored from a backup and fetches what it has lost.", "Wait until it is in sync again. Messages that no other box held are gone.")
        case .clone:
            return ("Two boxes run with this identity, from a copied disk.", "Stop one of them, empty its data directory and pair it anew.")
        case .clock: return ("Its clock is far from everybody else's.", "Set its clock.")
        case .version: return ("It speaks no version that the others speak.", "Upgrade the older boxes.")
        case nil: break
        }
        switch box.liveness {
        case .down: return ("Nothing has been heard of it.", "See whether it is switched on and on the network. If it is lost or stolen, revoke it.")
        case .unreachable: return ("Another box hears it; this one does not.", "Look at the network between the two.")
        case .suspect: return ("Nothing has been heard of it for some seconds.", "Wait a little.")
        case .unknown where !box.isSelf: return ("It has not been heard of since this box started.", "See whether it is switched on and on the network.")
        case .unknown, .alive, .leaving: break
        }
        if abs(box.clockOffsetMilliseconds) > Self.clockMillisecondsMax {
            return ("Its clock and this box's are far apart.", "Set the clock of the one that is wrong.")
        }
        return (nil, nil)
    }
}
