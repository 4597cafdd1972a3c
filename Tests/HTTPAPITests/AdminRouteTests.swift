import HTTPTypes
import NIOCore
import SkerryModel
import SkerryNode
import TestKit
import Testing

@Suite struct AdminRouteTests {
    let box = Box()

    @Test("the overview says what the box is and does")
    func overview() async throws {
        let admin = try await self.box.claimed()
        self.box.pass(seconds: 90)
        let overview = try await self.box.ask(.get, "/v1/admin/overview", token: admin)
        #expect(overview.status == 200)
        #expect(overview["box"]?.text == Sample.box.description)
        #expect(overview["uptimeSeconds"]?.number == 90)
        #expect(overview["users"]?.number == 1)
        #expect(overview["sessions"]?["ws"]?.number == 0)
        #expect(overview["memory"]?["residentBytes"]?.number == 20_000_000)
        #expect(overview["disk"]?["totalBytes"]?.number == 9)
        #expect(overview["clock"]?["synced"]?.flag == false)
        #expect(overview["claimed"]?.flag == true)
        #expect(overview["listeners"]?[0]?["port"]?.number == 8_080)
        #expect(try await self.box.ask(.get, "/v1/admin/listeners", token: admin)["items"]?.count == 1)
    }

    @Test("accounts are made, listed, locked, unlocked, given roles and reset")
    func users() async throws {
        let admin = try await self.box.claimed()
        let made = try await self.box.ask(.post, "/v1/admin/users", token: admin, #"{"name":"bob","password":"\#(Box.password)","role":"user"}"#)
        #expect(made.status == 201)
        let id = try #require(made["id"]?.text)
        #expect(try await self.box.ask(.post, "/v1/admin/users", token: admin, #"{"name":"Bob","password":"\#(Box.password)"}"#).status == 409)
        #expect(try await self.box.ask(.post, "/v1/admin/users", token: admin, #"{"name":"b b","password":"\#(Box.password)"}"#).status == 422)
        let page = try await self.box.ask(.get, "/v1/admin/users?limit=1", token: admin)
        #expect(page["items"]?[0]?["name"]?.text == "ada")
        #expect(page["items"]?[0]?["devices"]?.number == 1)
        #expect(page["next"]?.text == "ada")
        let login = try await self.box.ask(.post, "/v1/login", #"{"name":"bob","password":"\#(Box.password)"}"#)
        let bob = try #require(login["token"]?.text)
        #expect(try await self.box.ask(.post, "/v1/admin/users/\(id)/lock", token: admin).status == 204)
        #expect(try await self.box.ask(.get, "/v1/me", token: bob).status == 403)
        #expect(try await self.box.ask(.post, "/v1/admin/users/@bob/unlock", token: admin).status == 204)
        #expect(try await self.box.ask(.patch, "/v1/admin/users/\(id)", token: admin, #"{"role":"admin"}"#)["role"]?.text == "admin")
        #expect(try await self.box.ask(.patch, "/v1/admin/users/\(id)", token: admin, #"{"role":"king"}"#).status == 422)
        #expect(try await self.box.ask(.post, "/v1/admin/users/\(id)/kick", token: admin).status == 204)
        #expect(try await self.box.ask(.post, "/v1/admin/users/@nobody/lock", token: admin).status == 404)
        #expect(try await self.box.ask(.post, "/v1/admin/users/nobody/lock", token: admin).status == 422)
    }

    @Test("the last administrator stays one")
    func lastAdministrator() async throws {
        let admin = try await self.box.claimed()
        #expect(try await self.box.ask(.post, "/v1/admin/users/@ada/lock", token: admin).status == 409)
        #expect(try await self.box.ask(.patch, "/v1/admin/users/@ada", token: admin, #"{"role":"user"}"#).status == 409)
    }

    @Test("an invite is withdrawn, and a bad one is never made")
    func invites() async throws {
        let admin = try await self.box.claimed()
        let made = try await self.box.ask(.post, "/v1/admin/invites", token: admin, #"{"uses":3,"hours":1}"#)
        let id = try #require(made["id"]?.text)
        #expect(try await self.box.ask(.delete, "/v1/admin/invites/\(id)", token: admin).status == 204)
        #expect(try await self.box.ask(.get, "/v1/admin/invites", token: admin)["items"]?.count == 0)
        #expect(try await self.box.ask(.delete, "/v1/admin/invites/\(Sample.invite(9))", token: admin).status == 404)
        for bad in ["{}", #"{"uses":0,"hours":1}"#, #"{"uses":1,"hours":721}"#, #"{"uses":1,"hours":1,"role":"king"}"#] {
            #expect(try await self.box.ask(.post, "/v1/admin/invites", token: admin, bad).status == 422)
        }
        #expect(try await self.box.ask(.post, "/v1/admin/invites", token: admin, #"{"uses":"1","hours":1}"#).status == 400)
    }

    @Test("the administrator's routes are closed to everybody else")
    func closed() async throws {
        let bob = try await self.box.user("bob")
        let routes = self.box.routes.filter { $0.path.hasPrefix("/v1/admin/") }
        #expect(routes.count > 10)
        for route in routes where [.get, .post, .patch, .delete, .put].contains(route.method) {
            let path = route.path.replacing("{id}", with: "@bob")
            let stranger = try await self.box.ask(route.method, path)
            #expect(stranger.status == 401 || stranger.status == 405, "\(route)")
            let user = try await self.box.ask(route.method, path, token: bob.token, #"{"role":"admin"}"#)
            #expect(user.status == 403 || user.status == 405, "\(route)")
        }
    }

    @Test("a repeated request with its Idempotency-Key gets the first answer and makes nothing again")
    func idempotency() async throws {
        let admin = try await self.box.claimed()
        let make = { (body: String) in
            try await self.box.ask(.post, "/v1/admin/invites", token: admin, body, headers: [.idempotency: "key-1"])
        }
        let first = try await make(#"{"uses":1,"hours":1}"#)
        let second = try await make(#"{"uses":1,"hours":1}"#)
        #expect(second.status == 201)
        #expect(second.json == first.json)
        #expect(try await self.box.ask(.get, "/v1/admin/invites", token: admin)["items"]?.count == 1)
        #expect(try await make(#"{"uses":2,"hours":1}"#).status == 409)
        self.box.pass(seconds: 601)
        #expect(try await make(#"{"uses":2,"hours":1}"#).status == 201)
        // A refused request is forgotten, so that it can be put right under its key.
        let wrong = try await self.box.ask(.post, "/v1/admin/invites", token: admin, "{}", headers: [.idempotency: "key-2"])
        #expect(wrong.status == 422)
        let right = try await self.box.ask(.post, "/v1/admin/invites", token: admin, #"{"uses":1,"hours":1}"#, headers: [.idempotency: "key-2"])
        #expect(right.status == 201)
        let long = try await self.box.ask(
            .post, "/v1/admin/invites", token: admin, #"{"uses":1,"hours":1}"#, headers: [.idempotency: String(repeating: "k", count: 256)])
        #expect(long.status == 400)
    }

    @Test("idempotency keys are few: at the bound the oldest is forgotten")
    func idempotencyBound() async throws {
        var limits = Limits()
        limits.idempotencyKeysMax = 2
        let box = Box(limits: limits)
        let admin = try await box.claimed()
        for number in 0..<5 {
            _ = try await box.ask(.post, "/v1/admin/invites", token: admin, #"{"uses":1,"hours":1}"#, headers: [.idempotency: "key-\(number)"])
        }
        let gauge = box.control.gauges.all.first { $0.name == "skerry_idempotency_keys" }
        #expect(gauge?.value() == 2)
        _ = try await box.ask(.post, "/v1/admin/invites", token: admin, #"{"uses":1,"hours":1}"#, headers: [.idempotency: "key-0"])
        #expect(try await box.ask(.get, "/v1/admin/invites", token: admin)["items"]?.count == 6)
    }
}
