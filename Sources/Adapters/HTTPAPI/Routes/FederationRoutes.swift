import ChatCodec
import HTTPTypes
import SkerryModel
import SkerryNode

/// How boxes come into the federation and go, for administrators.
struct FederationRoutes {
    let control: NodeControl

    private static let states = Schema.choice(["idle", "connecting", "waiting", "joined", "failed"])
    private static let progress: [Schema.Property] = [
        .required("state", Self.states), .optional("name"), .optional("words"), .optional("code"), .optional("detail"),
    ]

    static let schemas: [(name: String, schema: Schema)] = [
        (
            "FederationState",
            .object([
                .required("box"), .required("words"), .optional("federation"), .required("issuer", .boolean),
                .required("progress", .ref("PairingProgress")),
            ])
        ),
        ("PairingProgress", .object(Self.progress)),
        (
            "PairingInvite",
            .object([.required("token"), .required("addresses", .array(.text)), .required("expires", .time), .required("words")])
        ),
        (
            "PairingCandidate",
            .object([
                .required("box"), .required("name"), .required("words"), .required("address"),
                .required("state", .choice(PairingCandidate.State.allCases.map(\.rawValue))), .required("since", .time),
            ])
        ),
        ("RecoveryFile", .object([.required("file")])),
    ]

    private func pairing(_ caller: Caller) async throws -> any PairingControl {
        try await self.control.requireAdministrator(.caller(caller))
        guard let federation = self.control.federation else {
            throw SkerryError(.unavailable, "This box takes no part in a federation: set federation.enabled and restart it.")
        }
        return federation.pairing
    }

    private static func box(_ request: APIRequest) throws -> BoxID {
        guard let box = BoxID(text: try request.parameter("box")) else { throw SkerryError(.notFound, "No box has this id.") }
        return box
    }

    var all: [Route] {
        [
            Route(
                method: .get, path: "/v1/admin/federation", access: .admin, summary: "What this box is to its federation, and how far it is with joining one",
                answer: .ref("FederationState"),
                handler: .signedIn { _, caller in
                    let pairing = try await self.pairing(caller)
                    let progress = await pairing.progress()
                    return .json {
                        $0.field("box", self.control.node.box.description)
                        $0.field("words", pairing.words)
                        $0.field("federation", pairing.federation?.description)
                        $0.field("issuer", pairing.isIssuer)
                        $0.object("progress") { progress.write(to: &$0) }
                    }
                }),
            Route(
                method: .post, path: "/v1/admin/federation/invites", access: .admin,
                summary: "Make a pairing token for one box, good for ten minutes; `waits`: an administrator must approve the box that uses it",
                body: [.optional("waits", .boolean)], status: .created, answer: .ref("PairingInvite"),
                handler: .signedIn { request, caller in
                    let invite = try await self.pairing(caller).invite(waits: request.fields.waits ?? false)
                    return .json(.created) { invite.write(to: &$0) }
                }),
            Route(
                method: .post, path: "/v1/admin/federation/join", access: .admin,
                summary: "Join the federation of a token; 202 when an administrator there must approve, and this box goes on asking",
                body: [.required("token")], repeatStatus: .accepted, answer: .ref("PairingProgress"),
                handler: .signedIn { request, caller in
                    let token = try request.required(request.fields.token, "token")
                    let progress = try await self.pairing(caller).join(token: token)
                    let isDone = if case .joined = progress { true } else { false }
                    return .json(isDone ? .ok : .accepted) { progress.write(to: &$0) }
                }),
            Route(
                method: .post, path: "/v1/admin/federation/announce", access: .admin,
                summary: "Have this box tell its network for ten minutes that it wants to join a federation; `on` false ends it",
                body: [.optional("on", .boolean)], status: .noContent,
                handler: .signedIn { request, caller in
                    try await self.pairing(caller).announce(request.fields.on ?? true)
                    return .nothing
                }),
            Route(
                method: .get, path: "/v1/admin/federation/candidates", access: .admin,
                summary: "Boxes that wait to be approved, and boxes on the network that want to join", answer: .items(.ref("PairingCandidate")),
                handler: .signedIn { _, caller in
                    let candidates = try await self.pairing(caller).candidates()
                    return .json { $0.array("items", candidates) { json, item in json.object { item.write(to: &$0) } } }
                }),
            Route(
                method: .post, path: "/v1/admin/federation/candidates/{box}/approve", access: .admin,
                summary: "Let a waiting box in; compare its words first", status: .noContent,
                handler: .signedIn { request, caller in
                    let box = try Self.box(request)
                    try await self.pairing(caller).approve(box)
                    return .nothing
                }),
            Route(
                method: .post, path: "/v1/admin/federation/candidates/{box}/ignore", access: .admin, summary: "Do not let a box in", status: .noContent,
                handler: .signedIn { request, caller in
                    let box = try Self.box(request)
                    try await self.pairing(caller).ignore(box)
                    return .nothing
                }),
            Route(
                method: .delete, path: "/v1/admin/boxes/{box}", access: .admin,
                summary: "Take a box out of the federation for ever: only when others hold all it has, or at once when it is lost",
                query: [
                    .init(name: "lost", schema: .boolean, summary: "`true`: it is lost or stolen; what only it has is lost with it."),
                    .init(name: "reason", schema: .text, summary: "Why, for the other administrators."),
                ], status: .noContent,
                handler: .signedIn { request, caller in
                    let box = try Self.box(request)
                    let lost = request.query["lost"] ?? "false"
                    guard lost == "true" || lost == "false" else { throw SkerryError(.badRequest, "lost is true or false.", field: "lost") }
                    try await self.pairing(caller).remove(box, isLost: lost == "true", reason: request.query["reason"] ?? "")
                    return .nothing
                }),
            Route(
                method: .post, path: "/v1/admin/federation/recovery", access: .admin,
                summary: "The federation's CA key under a passphrase, as a text file to keep away from the boxes", body: [.required("passphrase")],
                answer: .ref("RecoveryFile"),
                handler: .signedIn { request, caller in
                    let passphrase = try request.required(request.fields.passphrase, "passphrase")
                    let file = try await self.pairing(caller).recoveryFile(passphrase: passphrase)
                    return .json { $0.field("file", String(decoding: file, as: UTF8.self)) }
                }),
            Route(
                method: .post, path: "/v1/admin/federation/restore", access: .admin,
                summary: "Give this member of the federation the CA key of a recovery file, so that it may take boxes in and out",
                body: [.required("file"), .required("passphrase")], status: .noContent,
                handler: .signedIn { request, caller in
                    let file = try request.required(request.fields.file, "file")
                    let passphrase = try request.required(request.fields.passphrase, "passphrase")
                    try await self.pairing(caller).restoreIssuer(file: Array(file.utf8), passphrase: passphrase)
                    return .nothing
                }),
        ]
    }
}
