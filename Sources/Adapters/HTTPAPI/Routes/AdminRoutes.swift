import Account
import ChatCodec
import HTTPTypes
import SkerryModel
import SkerryNode

/// What administrators see and do.
struct AdminRoutes {
    let control: NodeControl
    let limits: Limits

    private var accounts: AccountService { self.control.accounts }

    var all: [Route] { self.box + self.users + self.invites }

    private var box: [Route] {
        [
            Route(
                method: .get, path: "/v1/admin/overview", access: .admin, summary: "The box at a glance", answer: .ref("Overview"),
                handler: .signedIn { _, caller in
                    let overview = try await self.control.overview(by: .caller(caller))
                    return .json { overview.write(to: &$0) }
                }),
            Route(
                method: .get, path: "/v1/admin/online", access: .admin, summary: "Who is connected, longest first", answer: .items(.ref("Session")),
                handler: .signedIn { _, caller in
                    let sessions = try await self.control.online(by: .caller(caller))
                    return .json { $0.array("items", sessions) { json, session in json.object { session.write(to: &$0) } } }
                }),
            Route(
                method: .get, path: "/v1/admin/listeners", access: .admin, summary: "Where the box listens", answer: .items(.ref("Listener")),
                handler: .signedIn { _, caller in
                    let listeners = try await self.control.listeners(by: .caller(caller))
                    return .json { $0.array("items", listeners) { json, listener in json.object { listener.write(to: &$0) } } }
                }),
        ]
    }

    private var users: [Route] {
        [
            Route(
                method: .get, path: "/v1/admin/users", access: .admin, summary: "All accounts, by name",
                query: [
                    .init(name: "q", schema: .text, summary: "Start of the name."),
                    .init(name: "after", schema: .text, summary: "`next` of the page before."),
                    .init(name: "limit", schema: .integer, summary: "How many at most; larger than the box allows is an error."),
                ],
                answer: .page(.ref("Account")), handler: self.listUsers),
            Route(
                method: .post, path: "/v1/admin/users", access: .admin, summary: "Make an account",
                body: [.required("name"), .required("password"), .optional("role", .roles)], status: .created, answer: .ref("Account"), isRepeatable: true,
                handler: .signedIn { request, caller in
                    let (name, password) = (
                        try request.required(request.fields.name, "name"), try request.required(request.fields.password, "password")
                    )
                    let role = try request.role(default: .user)
                    let user = try await self.accounts.createUser(name: name, password: password, role: role, by: .caller(caller))
                    return .json(.created) { Self.write(UserSummary(user: user, isOnline: false, devices: 0), to: &$0) }
                }),
            Route(
                method: .patch, path: "/v1/admin/users/{id}", access: .admin, summary: "Give an account another role", body: [.required("role", .roles)],
                answer: .ref("Me"),
                handler: .signedIn { request, caller in
                    let user = try await self.accounts.setRole(try request.role(), of: try request.user("id"), by: .caller(caller))
                    return .json {
                        $0.field("id", user.id)
                        $0.field("name", user.name)
                        $0.field("display", user.display)
                        $0.field("role", user.role.text)
                    }
                }),
            Route(
                method: .post, path: "/v1/admin/users/{id}/lock", access: .admin, summary: "Lock an account: its connections end, its tokens open nothing",
                status: .noContent,
                handler: .signedIn { request, caller in
                    try await self.accounts.lock(try request.user("id"), by: .caller(caller))
                    return .nothing
                }),
            Route(
                method: .post, path: "/v1/admin/users/{id}/unlock", access: .admin, summary: "Unlock an account", status: .noContent,
                handler: .signedIn { request, caller in
                    try await self.accounts.unlock(try request.user("id"), by: .caller(caller))
                    return .nothing
                }),
            Route(
                method: .post, path: "/v1/admin/users/{id}/kick", access: .admin, summary: "End an account's live connections; they may come back",
                status: .noContent,
                handler: .signedIn { request, caller in
                    try await self.control.kick(try request.user("id"), by: .caller(caller))
                    return .nothing
                }),
            Route(
                method: .post, path: "/v1/admin/users/{id}/reset", access: .admin, summary: "Make a one-time link for a new password", status: .created,
                answer: .ref("Link"), isRepeatable: true,
                handler: .signedIn { request, caller in
                    Self.answer(try await self.accounts.createReset(for: try request.user("id"), by: .caller(caller)))
                }),
        ]
    }

    private var invites: [Route] {
        [
            Route(
                method: .get, path: "/v1/admin/invites", access: .admin, summary: "Invites that can still be used, newest first",
                answer: .items(.ref("Invite")), handler: self.listInvites),
            Route(
                method: .post, path: "/v1/admin/invites", access: .admin, summary: "Make an invite link",
                body: [.optional("role", .roles), .required("uses", .integer), .required("hours", .integer)], status: .created, answer: .ref("Link"),
                isRepeatable: true,
                handler: .signedIn { request, caller in
                    let role = try request.role(default: .user)
                    guard let uses = request.fields.uses else { throw SkerryError(.payloadInvalid, "uses is missing.", field: "uses") }
                    guard let hours = request.fields.hours else { throw SkerryError(.payloadInvalid, "hours is missing.", field: "hours") }
                    return Self.answer(try await self.accounts.createInvite(role: role, uses: uses, hours: hours, by: .caller(caller)))
                }),
            Route(
                method: .delete, path: "/v1/admin/invites/{id}", access: .admin, summary: "Withdraw an invite", status: .noContent,
                handler: .signedIn { request, caller in
                    let id: InviteID = try request.id("id", unknown: "There is no such invite.")
                    try await self.accounts.revokeInvite(id, by: .caller(caller))
                    return .nothing
                }),
        ]
    }

    // MARK: - Handlers

    private var listUsers: Route.Handler {
        .signedIn { request, caller in
            let limit = try request.query.limit(max: self.limits.listPageMax, default: self.limits.listPageDefault)
            let page = try await self.accounts.users(
                prefix: request.query["q"] ?? "", after: request.query["after"], limit: limit, by: .caller(caller))
            return .json {
                $0.array("items", page.items) { json, line in json.object { Self.write(line, to: &$0) } }
                $0.field("next", page.next)
            }
        }
    }

    private var listInvites: Route.Handler {
        .signedIn { _, caller in
            let invites = try await self.accounts.invites(by: .caller(caller))
            return .json {
                $0.array("items", invites) { json, invite in
                    json.object {
                        $0.field("id", invite.id)
                        if case .join(let role) = invite.purpose { $0.field("role", role.text) }
                        $0.field("uses", Int(invite.uses))
                        $0.field("used", Int(invite.used))
                        $0.field("expires", time: invite.expiresMilliseconds)
                        $0.field("created", time: invite.createdMilliseconds)
                        if let by = invite.createdBy { $0.field("by", by) }
                    }
                }
            }
        }
    }

    private static func write(_ line: UserSummary, to json: inout JSONWriter) {
        json.field("id", line.user.id)
        json.field("name", line.user.name)
        json.field("display", line.user.display)
        json.field("role", line.user.role.text)
        json.field("locked", line.user.isLocked)
        json.field("created", time: line.user.createdMilliseconds)
        json.field("online", line.isOnline)
        json.field("devices", line.devices)
    }

    private static func answer(_ link: IssuedLink) -> Answer {
        .json(.created) {
            $0.field("id", link.id)
            $0.field("token", link.token.text)
            $0.field("link", link.path)
            $0.field("expires", time: link.expiresMilliseconds)
        }
    }
}
