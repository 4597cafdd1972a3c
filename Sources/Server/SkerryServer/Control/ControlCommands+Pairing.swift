import ChatCodec
import NIOCore
import SkerryModel
import SkerryNode

/// The verbs by which boxes come into the federation and go; they need the running box.
extension ControlCommands {
    func pair(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        guard let control = self.control else { throw SkerryError(.unavailable, "No box runs on this data directory; start it with `skerry serve`.") }
        guard let federation = control.federation else {
            throw SkerryError(.unavailable, "This box takes no part in a federation: set federation.enabled = on and restart it.")
        }
        let (pairing, wish) = (federation.pairing, request.boxes)
        switch request.verb {
        case .pairInvite: return Self.reply(try await pairing.invite(waits: wish.waits ?? false), waits: wish.waits ?? false)
        case .pairJoin: return Self.reply(try await pairing.join(token: wish.token ?? ""), pairing)
        case .pairAnnounce:
            try await pairing.announce(wish.isOn ?? true)
            return ControlReply(
                """
                For ten minutes this box tells its network that it wants to join a federation. On a box of the federation it is in the list of \
                `skerry pair list`; make a token there and enter it here. The words of this box: \(pairing.words)
                """
            ) { $0.field("words", pairing.words) }
        case .pairList: return Self.list(await pairing.candidates())
        case .pairApprove:
            let box = try await Self.candidate(wish.box, pairing)
            try await pairing.approve(box)
            return ControlReply("\(box) may come in; it will, the next time it asks.") { $0.field("box", box.description) }
        case .pairIgnore:
            let box = try await Self.candidate(wish.box, pairing)
            try await pairing.ignore(box)
            return ControlReply("\(box) is not let in.") { $0.field("box", box.description) }
        case .pairWords: return ControlReply(pairing.words) { $0.field("words", pairing.words) }
        case .pairRecovery:
            let file = String(decoding: try await pairing.recoveryFile(passphrase: try Self.given(wish.passphrase, "passphrase")), as: UTF8.self)
            return ControlReply(file) { $0.field("file", file) }
        case .pairRestore:
            let file = Array(try Self.given(wish.file, "file").utf8)
            try await pairing.restoreIssuer(file: file, passphrase: try Self.given(wish.passphrase, "passphrase"))
            return ControlReply("This box has the federation's CA key now: it may take boxes in and out.") { $0.field("issuer", true) }
        case .boxesRemove:
            let box = try await Self.member(wish.box, federation)
            try await pairing.remove(box, isLost: wish.lost ?? false, reason: wish.reason ?? "")
            return ControlReply("\(box) is no longer of the federation, for ever. To use that machine again, start it with a new data directory.") {
                $0.field("box", box.description)
            }
        default: return Self.reply(await pairing.progress(), pairing)
        }
    }

    /// The token alone on the last line, so that a script can take it as it is.
    private static func reply(_ invite: PairingInvite, waits: Bool) -> ControlReply {
        var text = """
            Enter this token on the other box: on its admin page, or with `skerry pair join`. It works once, until \
            \(Timestamp.text(invite.expiresMilliseconds)), for whoever has it: show it to nobody else.

            """
        if waits { text += "The box that uses it waits until you approve it: `skerry pair list`.\n" }
        text += "\nThis box is at \(invite.addresses.joined(separator: ", ")).\nIts words: \(invite.words)\n\n"
        if let code = QRCode(invite.token) { text += code.terminalText + "\n" }
        return ControlReply(text + invite.token) { invite.write(to: &$0) }
    }

    private static func reply(_ progress: PairingProgress, _ pairing: any PairingControl) -> ControlReply {
        let text =
            switch progress {
            case .idle: "This box is not joining a federation."
            case .connecting: "This box tries to reach the other one."
            case .waiting(let name, let words):
                """
                \(Self.called(name)) has the request, and an administrator there must approve it (`skerry pair list`, or the admin page).
                Its words: \(PlainText.clean(words))
                The words of this box, as they must be shown there: \(pairing.words)
                """
            case .joined(let name): "This box is of the federation of \(Self.called(name)) now."
            case .failed(let error): error.detail
            }
        var reply = ControlReply(text) { progress.write(to: &$0) }
        if case .failed = progress { reply.isOK = false }
        return reply
    }

    private static func called(_ name: String) -> String { name.isEmpty ? "the other box" : PlainText.clean(name) }

    private static func list(_ candidates: [PairingCandidate]) -> ControlReply {
        var table = TextTable(["BOX", "NAME", "STATE", "ADDRESS", "SINCE", "WORDS"])
        for item in candidates {
            table.add([
                item.box.description, item.name.isEmpty ? "-" : item.name, item.state.rawValue, item.address.isEmpty ? "-" : item.address,
                Timestamp.text(item.sinceMilliseconds), item.words,
            ])
        }
        return ControlReply(candidates.isEmpty ? "No box waits to be approved, and none on the network wants to join." : table.text) {
            $0.array("items", candidates) { json, item in json.object { item.write(to: &$0) } }
        }
    }

    private static func given(_ text: String?, _ field: String) throws(SkerryError) -> String {
        guard let text, !text.isEmpty else { throw SkerryError(.payloadInvalid, "Give the \(field).", field: field) }
        return text
    }

    private static func candidate(_ text: String?, _ pairing: any PairingControl) async throws(SkerryError) -> BoxID {
        let text = try Self.given(text, "box")
        return try Self.one(
            text, await pairing.candidates().map { (box: $0.box, name: $0.name) }, "No such box is waiting; `skerry pair list` shows which are.")
    }

    private static func member(_ text: String?, _ federation: any FederationControl) async throws(SkerryError) -> BoxID {
        let text = try Self.given(text, "box")
        return try Self.one(text, await federation.boxes().map { (box: $0.box, name: $0.name) }, "There is no such box; `skerry boxes` lists them.")
    }

    /// By id, or by a name that only one has.
    private static func one(_ text: String, _ boxes: [(box: BoxID, name: String)], _ unknown: String) throws(SkerryError) -> BoxID {
        if let box = BoxID(text: text) { return box }
        let named = Set(boxes.filter { $0.name == text }.map(\.box))
        guard named.count <= 1 else { throw SkerryError(.conflict, "Several boxes have this name; give the id.", field: "box") }
        guard let box = named.first else { throw SkerryError(.notFound, unknown, field: "box") }
        return box
    }
}
