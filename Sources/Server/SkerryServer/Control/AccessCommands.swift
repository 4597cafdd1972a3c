import ChatCodec
import SkerryModel
import SkerryNode

/// The verbs of `skerry acl`.
extension ControlCommands {
    func addRule(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        let wanted = try AccessRuleRequest(
            user: request.name.map { "@\($0)" }, role: request.role, access: request.access, filter: request.mqtt.filter, effect: request.effect)
        let line = try await self.accounts.addAccessRule(wanted, by: .console)
        return ControlReply("\(Self.sentence(line)). The rule is \(line.rule.id) and holds from now on.") { line.write(to: &$0) }
    }

    func removeRule(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        guard let id = request.id.flatMap({ AccessRuleID(text: $0) }) else { throw AccountService.noSuchRule }
        try await self.accounts.removeAccessRule(id, by: .console)
        return ControlReply("The rule is taken back.") { $0.field("id", id) }
    }

    func listRules() async throws(SkerryError) -> ControlReply {
        let lines = try await self.accounts.accessRules(by: .console)
        var table = TextTable(["ID", "WHO", "EFFECT", "ACCESS", "FILTER", "SINCE"])
        for line in lines {
            table.add([
                line.rule.id.description, Self.who(line), line.rule.effect.text, line.rule.verb.text, line.rule.filter,
                Timestamp.text(line.rule.createdMilliseconds),
            ])
        }
        let empty = "There are no access rules: every user may publish and subscribe everything but $SYS, which administrators read."
        return ControlReply(lines.isEmpty ? empty : table.text) {
            $0.array("items", lines) { json, line in json.object { line.write(to: &$0) } }
        }
    }

    func checkRules(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        let question = try AccessQuestion(
            user: request.name.map { "@\($0)" }, client: request.mqtt.client, access: request.access, topic: request.mqtt.topic)
        let answer = try await self.accounts.checkAccess(question, opened: self.opened, by: .console)
        var text = "\(answer.isAllowed ? "yes" : "no"): \(answer.reason)"
        if let line = answer.rule { text += " Rule \(line.rule.id): \(Self.sentence(line))." }
        return ControlReply(text) { answer.write(to: &$0) }
    }

    private static func who(_ line: AccessRuleSummary) -> String {
        switch line.rule.subject {
        case .user(let id): "user \(line.userName ?? id.description)"
        case .role(let role): "role \(role.text)"
        }
    }

    private static func sentence(_ line: AccessRuleSummary) -> String {
        let what =
            switch line.rule.verb {
            case .publish: "publish to"
            case .subscribe: "subscribe to"
            case .all: "publish and subscribe to"
            }
        return "\(Self.who(line)) \(line.rule.effect == .allow ? "may" : "may not") \(what) \(PlainText.clean(line.rule.filter))"
    }
}
