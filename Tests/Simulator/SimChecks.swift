import Replication
import SkerryModel

/// What must hold when everything works again.
extension SimWorld {
    /// All members hold the same, all that clients sent is answered, and nobody has anything under way.
    func isConverged() -> Bool {
        for client in self.clients where client.hasUnanswered { return false }
        let members = self.members
        guard let first = members.first else { return true }
        for box in members where !box.isUp || !box.jobs.isEmpty || box.isCommitting || box.quarantine == .rollback { return false }
        for index in self.truth.logs.indices {
            let cut = self.cut(of: index)
            let head = min(first.disk.log(index).head, cut)
            for box in members where min(box.disk.log(index).head, cut) != head { return false }
        }
        for box in members where !self.isAllReplicated(box) { return false }
        return true
    }

    /// How far a log counts.
    func cut(of index: Int) -> UInt64 {
        let id = self.truth.logs[index].id
        guard let cut = self.removed[id.origin] else { return .max }
        return cut[id] ?? 0
    }

    /// ✓✓ was said of everything that this run of the box has written.
    private func isAllReplicated(_ box: SimBox) -> Bool {
        let others = Set(self.members.map(\.id)).count - 1
        guard others >= self.profile.limits.copiesWanted else { return true }
        for log in box.epochs.values {
            let head = box.disk.log(log.index).head
            if head > 0, box.replicatedUpTo[log.id] ?? 0 < head { return false }
        }
        return true
    }

    /// Whether the entry was at every moment held by somebody who is still there, and may not be dropped.
    func mustStay(_ entry: TrueEntry) -> Bool { !entry.wasLost && !entry.isDropped && entry.seq <= self.cut(of: entry.log.index) }

    /// Why `isConverged` is false, for the report.
    private var obstacle: String {
        let unanswered = self.clients.filter(\.hasUnanswered).map { "client \($0.index) waits for an answer" }
        var lines = unanswered
        let members = self.members
        for box in members {
            if let reason = box.quarantine { lines.append("\(box.name) in quarantine (\(reason.rawValue))") }
            if !box.isUp || !box.jobs.isEmpty || box.isCommitting { lines.append("\(box.name) is busy") }
            if !self.isAllReplicated(box) {
                for log in box.epochs.values.sorted(by: { $0.index < $1.index }) {
                    lines.append("\(box.name): \(log.text) has \(box.disk.log(log.index).head), others are said to hold \(box.replicatedUpTo[log.id] ?? 0)")
                }
            }
        }
        for (index, log) in self.truth.logs.enumerated() {
            let cut = self.cut(of: index)
            let heads = members.map { min($0.disk.log(index).head, cut) }
            guard let first = heads.first, heads.contains(where: { $0 != first }) else { continue }
            lines.append("\(log.text): " + zip(members, heads).map { "\($0.name) has \($1)" }.joined(separator: ", "))
        }
        return lines.prefix(6).joined(separator: "; ")
    }

    func checkEnd() {
        guard self.isConverged() else { return self.fail("P1", "after \(BoxSimulation.healingMax) ms without faults: \(self.obstacle)") }
        let members = self.members
        guard let first = members.first else { return }
        if let age = self.profile.retention { self.retainAlike(members, age) }
        for box in members.dropFirst() { self.compare(first, box) }
        self.checkNothingLost(members)
        for (index, client) in self.clients.enumerated() where self.failure == nil { client.finish(members[index % members.count]) }
    }

    /// What one box has dropped already the others drop now: it is decided by age alone.
    private func retainAlike(_ members: [SimBox], _ age: UInt64) {
        for box in members {
            let id = box.id
            _ = box.disk.retain(at: self.retainedAt, age: age, self.truth) { $0.id.origin != id }
        }
    }

    /// P1: the same entries, the same rows, the same order.
    private func compare(_ one: SimBox, _ other: SimBox) {
        // A box may have heard more of a removed one than counts, before it heard of the removal: nothing takes that back.
        guard !self.hasBeyondCut(one), !self.hasBeyondCut(other) else { return }
        for (index, log) in self.truth.logs.enumerated() {
            let head = min(one.disk.log(index).head, self.cut(of: index))
            guard head > 0 else { continue }
            let (first, second) = (one.disk.log(index), other.disk.log(index))
            for seq in 1...head where (first.place(seq) == .held) != (second.place(seq) == .held) {
                let (holder, lacking) = first.place(seq) == .held ? (one, other) : (other, one)
                return self.fail("P1", "\(holder.name) holds \(log.text)#\(seq), \(lacking.name) does not")
            }
        }
        for key in 0..<max(one.disk.rows.count, other.disk.rows.count) where self.row(one, key) !== self.row(other, key) {
            return self.fail(
                "P1", "row \(key) is \(self.row(one, key)?.text ?? "nothing") on \(one.name), \(self.row(other, key)?.text ?? "nothing") on \(other.name)")
        }
        for client in 0..<max(one.disk.receipts.count, other.disk.receipts.count) where one.disk.receipt(client) != other.disk.receipt(client) {
            return self.fail("P1", "the receipt of client \(client) differs between \(one.name) and \(other.name)")
        }
        let (first, second) = (self.listing(one), self.listing(other))
        if first != second { self.fail("P1", "\(one.name) shows \(first.count) messages, \(other.name) \(second.count), or in another order") }
    }

    private func hasBeyondCut(_ box: SimBox) -> Bool {
        guard !self.removed.isEmpty else { return false }
        for (index, log) in box.disk.logs.enumerated() {
            let cut = self.cut(of: index)
            guard log.head > cut else { continue }
            for seq in (cut + 1)...log.head where log.place(seq) == .held { return true }
        }
        return false
    }

    private func row(_ box: SimBox, _ key: Int) -> TrueEntry? { key < box.disk.rows.count ? box.disk.rows[key] : nil }

    /// The conversation as the box shows it.
    private func listing(_ box: SimBox) -> [Int] {
        let shown = box.disk.messages.compactMap { $0 }.sorted { $0.order < $1.order }
        return shown.compactMap { entry in
            if case .message(let id) = entry.kind { id } else { nil }
        }
    }

    /// P2: what was ever committed, and at every moment since by somebody who is still there, is on every box.
    private func checkNothingLost(_ members: [SimBox]) {
        for (index, log) in self.truth.logs.enumerated() {
            for entry in log.entries where self.mustStay(entry) {
                for box in members where box.disk.log(index).place(entry.seq) != .held {
                    let word = entry.isReplicated ? "acknowledged as held by others" : entry.isAcknowledged ? "acknowledged as stored" : "committed"
                    return self.fail("P2", "\(box.name) has lost \(entry.text), which was \(word)")
                }
            }
        }
    }
}
