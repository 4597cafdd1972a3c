import ChatCodec
import Replication
import SkerryModel
import SkerryNode

/// The boxes of the federation, and sending people to other ones.
extension ControlCommands {
    func boxes(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        guard let control = self.control else { throw SkerryError(.unavailable, "No box runs on this data directory; start it with `skerry serve`.") }
        if request.verb == .drain { return try await self.drain(request, control) }
        let list = try await control.boxList(by: .console)
        return ControlReply(self.text(list)) { list.write(to: &$0) }
    }

    private func drain(_ request: ControlRequest, _ control: NodeControl) async throws(SkerryError) -> ControlReply {
        let isOn = request.boxes.isOn ?? true
        try await control.drain(isOn, by: .console)
        let online = control.node.online
        let count = online.count(.ws) + online.count(.mqtt)
        let text =
            isOn
            ? "This box takes nobody new and sends its \(count) clients to other boxes, within about \(MovePace.drainSeconds) seconds. `skerry drain off` ends it."
            : "This box takes clients again."
        return ControlReply(text) {
            $0.field("draining", isOn)
            $0.field("connections", count)
        }
    }

    private func text(_ list: BoxList) -> String {
        var table = TextTable(["NAME", "BOX", "STATE", "IN SYNC", "WAITING", "CLOCK", "ONLINE", "LOAD", "SEEN", "VERSION"])
        var troubles: [String] = []
        for box in list.items {
            let state = box.standing == .removed ? "removed" : box.isSelf ? "here" : box.liveness.rawValue
            table.add([
                box.name.isEmpty ? "-" : box.name, box.box.description, box.isDraining ? "\(state), draining" : state, Self.inSync(box),
                Self.waiting(box), Self.clock(box), "\(box.onlineUsers)", box.load.map { Self.percent(BoxScore.of($0)) } ?? "-",
                box.lastSeenMilliseconds.map { Timestamp.text($0) } ?? "never", box.version ?? "-",
            ])
            guard let trouble = box.trouble else { continue }
            let sentence = [trouble, box.remedy].compactMap { $0 }.joined(separator: " ")
            troubles.append(PlainText.clean("\(box.name.isEmpty ? box.box.description : box.name): \(sentence)"))
        }
        var lines = [table.text]
        if !troubles.isEmpty { lines += [""] + troubles }
        if list.federation == nil { lines += ["", "This box belongs to no federation; `skerry pair invite` begins one."] }
        return lines.joined(separator: "\n")
    }

    /// Never rounded up to all of it.
    private static func inSync(_ box: BoxOverview) -> String {
        if box.standing == .removed || box.entriesKnown == 0 { return "-" }
        let share = Double(box.entriesHeld) / Double(box.entriesKnown) * 100
        let tenths = box.entriesHeld >= box.entriesKnown ? 1_000 : min(999, Int(share * 10))
        return tenths == 1_000 ? "100 %" : "\(tenths / 10).\(tenths % 10) %"
    }

    private static func waiting(_ box: BoxOverview) -> String {
        box.backlogEntries == 0 ? "-" : "\(box.backlogEntries), \(box.backlogBytes / 1_024) KiB, \(box.backlogSeconds) s"
    }

    private static func clock(_ box: BoxOverview) -> String {
        if box.isSelf || abs(box.clockOffsetMilliseconds) < 1_000 { return box.clock }
        let seconds = box.clockOffsetMilliseconds / 1_000
        return "\(box.clock), \(seconds > 0 ? "+" : "")\(seconds) s"
    }

    private static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }
}
