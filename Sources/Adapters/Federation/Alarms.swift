package import Replication
import SkerryModel
import Synchronization

extension EngineAlarm {
    /// What happened and what to do, for the log and the administrator's page.
    package var text: String {
        switch self {
        case .forgedOrigin(let link, let claimed): "Box \(link) sent entries in the name of \(claimed); they were refused. If you do not know why, revoke it."
        case .badSignature(let origin, let link): "Entries of \(origin) that came by \(link) were not signed by it; they were refused."
        case .notAMember(let box): "\(box) is no member; what it sent was refused."
        case .malformed(let link, let channel): "Box \(link) sent something unreadable (\(channel.rawValue)); it may run a broken or a newer version."
        case .aheadOfTime(let origin): "Box \(origin) stamps its entries more than ten minutes ahead; set its clock."
        case .wrongFederation(let link): "Box \(link) belongs to another federation; pair it with this one, or take it off the network."
        case .versionMismatch(let box): "Box \(box) speaks no version that this one speaks; upgrade the older of the two."
        case .quarantined(let box, .rollback): "Box \(box) was restored from a backup; it fetches what it lost from the others, and is whole again after."
        case .quarantined(let box, .clone): "Two boxes run as \(box), from a copied disk. Stop one of them, remove its data directory and pair it anew."
        case .quarantined(let box, .clock): "The clock of \(box) is far from everybody else's; set it."
        case .quarantined(let box, .version): "Box \(box) is too old or too new for the others; upgrade the older ones."
        case .cannotWrite: "What other boxes wrote cannot be kept: make room on the disk, or see the log."
        }
    }
}

/// Which lines were written lately, so that the same one does not fill the log.
struct AlarmLog {
    private var last: [String: UInt64] = [:]
    static let linesMax = 256
    static let pauseMilliseconds: UInt64 = 60_000

    mutating func isNew(_ line: String, now: UInt64) -> Bool {
        if let before = self.last[line], now < before + Self.pauseMilliseconds { return false }
        if self.last.count >= Self.linesMax { self.last.removeAll() }
        self.last[line] = now
        return true
    }
}

/// The latest alarms, for the administrator's page.
package final class AlarmHistory: Sendable {
    package struct Line: Sendable, Hashable {
        package var alarm: EngineAlarm
        package var milliseconds: UInt64
        package var count: Int
    }

    static let linesMax = 64
    private let state = Mutex<[Line]>([])

    func note(_ alarm: EngineAlarm, now: UInt64) {
        self.state.withLock { lines in
            if let index = lines.firstIndex(where: { $0.alarm == alarm }) {
                lines[index].count += 1
                lines[index].milliseconds = now
            } else {
                if lines.count >= Self.linesMax { lines.removeFirst() }
                lines.append(Line(alarm: alarm, milliseconds: now, count: 1))
            }
        }
    }

    package var lines: [Line] { self.state.withLock { $0 } }
}
