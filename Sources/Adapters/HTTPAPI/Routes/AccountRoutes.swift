import Account
import ChatCodec
import HTTPTypes
import NIOCore
import SkerryModel
import SkerryNode

/// Coming in, and what people do with their own account.
struct AccountRoutes {
    let accounts: AccountService
    let box: BoxID

    var all: [Route] { self.comingIn + self.own }

    private var comingIn: [Route] {
        [
            Route(
                method: .post, path: "/v1/claim", access: .open, summary: "Make the first administrator, with the one-time link that the box printed",
                body: [.required("token"), .required("name"), .required("password"), .optional("device")], answer: .ref("SignedIn"),
                handler: .open { request in
                    let (token, name, password) = (
                        try request.required(request.fields.token, "token"), try request.required(request.fields.name, "name"),
                        try request.required(request.fields.password, "password")
                    )
                    return Self.answer(
                        try await self.accounts.claim(
                            token: token, name: name, password: password, device: request.fields.device, address: request.address))
                }),
            Route(
                method: .post, path: "/v1/login", access: .open, summary: "Sign a device in",
                body: [.required("name"), .required("password"), .optional("device")], answer: .ref("SignedIn"),
                handler: .open { request in
                    let (name, password) = (
                        try request.required(request.fields.name, "name"), try request.required(request.fields.password, "password")
                    )
                    return Self.answer(
                        try await self.accounts.login(name: name, password: password, device: request.fields.device, address: request.address))
                }),
            Route(
                method: .post, path: "/v1/invites/check", access: .open, summary: "What an invite link offers, without using it", body: [.required("token")],
                answer: .object([.required("role", .roles), .required("expires", .time), .required("box")]),
                handler: .open { request in
                    let token = try request.required(request.fields.token, "token")
                    let invite = try await self.accounts.checkInvite(token: token, address: request.address)
                    return .json {
                        $0.field("role", invite.role.text)
                        $0.field("expires", time: invite.expiresMilliseconds)
                        $0.field("box", self.box.description)
                    }
                }),
            Route(
                method: .post, path: "/v1/invites/accept", access: .open, summary: "Make an account by an invite link",
                body: [.required("token"), .required("name"), .required("password"), .optional("device")], answer: .ref("SignedIn"),
                handler: .open { request in
                    let (token, name, password) = (
                        try request.required(request.fields.token, "token"), try request.required(request.fields.name, "name"),
                        try request.required(request.fields.password, "password")
                    )
                    return Self.answer(
                        try await self.accounts.acceptInvite(
                            token: token, name: name, password: password, device: request.fields.device, address: request.address))
                }),
            Route(
                method: .post, path: "/v1/reset", access: .open, summary: "Set a new password by a one-time link",
                body: [.required("token"), .required("password"), .optional("device")], answer: .ref("SignedIn"),
                handler: .open { request in
                    let (token, password) = (
                        try request.required(request.fields.token, "token"), try request.required(request.fields.password, "password")
                    )
                    return Self.answer(
                        try await self.accounts.reset(token: token, password: password, device: request.fields.device, address: request.address))
                }),
        ]
    }

    private var own: [Route] {
        [
            Route(
                method: .post, path: "/v1/logout", access: .user, summary: "Sign this device out; its live connections end", status: .noContent,
                handler: .signedIn { _, caller in
                    try await self.accounts.logout(caller)
                    return .nothing
                }),
            Route(
                method: .get, path: "/v1/me", access: .user, summary: "Who I am", answer: .ref("Me"), hasTag: true,
                handler: .signedIn { _, caller in .json(Self.me(try await self.accounts.me(caller))) }),
            Route(
                method: .patch, path: "/v1/me", access: .user, summary: "Change what others see beside my name", body: [.required("display")],
                answer: .ref("Me"), hasTag: true, heedsMatch: true,
                handler: .signedIn { request, caller in
                    let display = try request.required(request.fields.display, "display")
                    let match = request.headers[.ifMatch]
                    let user = try await self.accounts.update(caller, display: display) { user throws(SkerryError) in
                        try EntityTag.check(match, EntityTag.of(Self.me(user)))
                    }
                    return .json(Self.me(user))
                }),
            Route(
                method: .post, path: "/v1/me/password", access: .user, summary: "Choose another password; my other devices are signed out",
                body: [.required("old"), .required("new")], answer: .ref("Me"),
                handler: .signedIn { request, caller in
                    let (old, new) = (try request.required(request.fields.old, "old"), try request.required(request.fields.new, "new"))
                    try await self.accounts.changePassword(caller, old: old, new: new, address: request.address)
                    return .json(Self.me(try await self.accounts.me(caller)))
                }),
            Route(
                method: .get, path: "/v1/me/devices", access: .user, summary: "My signed-in devices, oldest first", answer: .items(.ref("Device")),
                handler: .signedIn { _, caller in
                    let devices = try await self.accounts.devices(caller)
                    return .json {
                        $0.array("items", devices) { json, line in
                            json.object {
                                $0.field("id", line.device.id)
                                $0.field("name", line.device.name)
                                $0.field("created", time: line.device.createdMilliseconds)
                                if let seen = line.seenMilliseconds { $0.field("seen", time: seen) }
                                $0.field("expires", time: line.device.expiresMilliseconds)
                                $0.field("current", line.isCurrent)
                            }
                        }
                    }
                }),
            Route(
                method: .delete, path: "/v1/me/devices/{id}", access: .user, summary: "Sign one of my devices out", status: .noContent,
                handler: .signedIn { request, caller in
                    let id: DeviceID = try request.id("id", unknown: "You have no such device.")
                    try await self.accounts.revokeDevice(id, by: caller)
                    return .nothing
                }),
        ]
    }

    private static func me(_ user: UserRecord) -> ByteBuffer {
        JSONWriter.make {
            $0.field("id", user.id)
            $0.field("name", user.name)
            $0.field("display", user.display)
            $0.field("role", user.role.text)
        }
    }

    private static func answer(_ signedIn: SignedIn) -> Answer {
        .json {
            $0.field("token", signedIn.token.text)
            $0.field("user", signedIn.user.id)
            $0.field("name", signedIn.user.name)
            $0.field("role", signedIn.user.role.text)
            $0.field("expires", time: signedIn.expiresMilliseconds)
            $0.field("device", signedIn.device)
        }
    }
}
