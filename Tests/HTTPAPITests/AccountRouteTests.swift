import Account
import HTTPTypes
import NIOCore
import SkerryModel
import SkerryNode
import TestKit
import Testing

@Suite struct AccountRouteTests {
    let box = Box()

    @Test("claim, sign in, look at oneself, sign out")
    func comingAndGoing() async throws {
        let token = try await self.box.claimed()
        let login = try await self.box.ask(.post, "/v1/login", #"{"name":"ADA","password":"\#(Box.password)","device":"phone"}"#)
        #expect(login.status == 200)
        #expect(login.json?.keys == ["device", "expires", "name", "role", "token", "user"])
        #expect(login["role"]?.text == "admin")
        let second = try #require(login["token"]?.text)
        let me = try await self.box.ask(.get, "/v1/me", token: second)
        #expect(me.status == 200)
        #expect(me["name"]?.text == "ada")
        let devices = try await self.box.ask(.get, "/v1/me/devices", token: second)
        // They were made in the same millisecond, so their order is that of their random ids.
        #expect(devices["items"]?.count == 2)
        #expect(devices["items"]?.items.filter { $0["current"]?.flag == true }.map { $0["name"]?.text } == ["phone"])
        let logout = try await self.box.ask(.post, "/v1/logout", token: second)
        #expect(logout.status == 204)
        #expect(logout.body.readableBytes == 0)
        #expect(try await self.box.ask(.get, "/v1/me", token: second).status == 401)
        #expect(try await self.box.ask(.get, "/v1/me", token: token).status == 200)
    }

    @Test("a claim link is refused the second time, and a wrong one at once")
    func claimRefused() async throws {
        let link = try await self.box.control.accounts.openClaim()
        let body = #"{"token":"\#(link.token.text)","name":"ada","password":"\#(Box.password)"}"#
        #expect(try await self.box.ask(.post, "/v1/claim", body).status == 200)
        let again = try await self.box.ask(.post, "/v1/claim", body)
        #expect(again.status == 410)
        #expect(again.code == "gone")
        #expect(try await self.box.ask(.post, "/v1/claim", #"{"token":"x","name":"ada","password":"\#(Box.password)"}"#).status == 404)
        let missing = try await self.box.ask(.post, "/v1/claim", #"{"name":"ada","password":"\#(Box.password)"}"#)
        #expect(missing.status == 422)
        #expect(missing["errors"]?[0]?["field"]?.text == "token")
    }

    @Test("a refused login says why in a problem document and leaks nothing")
    func loginRefused() async throws {
        _ = try await self.box.user("bob")
        let wrong = try await self.box.ask(.post, "/v1/login", #"{"name":"bob","password":"wrong wrong"}"#)
        #expect(wrong.status == 401)
        #expect(wrong.headers[.contentType] == "application/problem+json")
        #expect(wrong.headers[.wwwAuthenticate] == "Bearer")
        #expect(wrong.headers[.cacheControl] == "no-store")
        #expect(wrong.code == "unauthenticated")
        #expect(wrong["temporary"]?.flag == false)
        let unknown = try await self.box.ask(.post, "/v1/login", #"{"name":"nobody","password":"wrong wrong"}"#)
        #expect(unknown.json == wrong.json)
        for _ in 0..<4 { _ = try await self.box.ask(.post, "/v1/login", #"{"name":"bob","password":"wrong wrong"}"#) }
        let limited = try await self.box.ask(.post, "/v1/login", #"{"name":"bob","password":"\#(Box.password)"}"#)
        #expect(limited.status == 429)
        #expect(limited.headers[.retryAfter] == "10")
        #expect(limited["retryAfter"]?.number == 10)
    }

    @Test("an invite is made, checked, accepted, and used up")
    func invite() async throws {
        let admin = try await self.box.claimed()
        let made = try await self.box.ask(.post, "/v1/admin/invites", token: admin, #"{"role":"user","uses":1,"hours":24}"#)
        #expect(made.status == 201)
        let token = try #require(made["token"]?.text)
        #expect(made["link"]?.text == "/#/invite/\(token)")
        let check = try await self.box.ask(.post, "/v1/invites/check", #"{"token":"\#(token)"}"#)
        #expect(check["role"]?.text == "user")
        #expect(check["box"]?.text == Sample.box.description)
        let listed = try await self.box.ask(.get, "/v1/admin/invites", token: admin)
        #expect(listed["items"]?[0]?["uses"]?.number == 1)
        #expect(listed["items"]?[0]?["token"] == nil)
        let body = #"{"token":"\#(token)","name":"李雷","password":"\#(Box.password)"}"#
        let accepted = try await self.box.ask(.post, "/v1/invites/accept", body)
        #expect(accepted.status == 200)
        #expect(accepted["name"]?.text == "李雷")
        #expect(try await self.box.ask(.post, "/v1/invites/accept", body).status == 410)
        #expect(try await self.box.ask(.post, "/v1/invites/check", #"{"token":"si_short"}"#).status == 404)
    }

    @Test("a reset link sets a password once")
    func reset() async throws {
        let admin = try await self.box.claimed()
        let bob = try await self.box.user("bob")
        let made = try await self.box.ask(.post, "/v1/admin/users/@bob/reset", token: admin)
        #expect(made.status == 201)
        let token = try #require(made["token"]?.text)
        let reset = try await self.box.ask(.post, "/v1/reset", #"{"token":"\#(token)","password":"battery staple"}"#)
        #expect(reset.status == 200)
        #expect(try await self.box.ask(.get, "/v1/me", token: bob.token).status == 401)
        #expect(try await self.box.ask(.post, "/v1/reset", #"{"token":"\#(token)","password":"battery staple"}"#).status == 410)
        #expect(try await self.box.ask(.post, "/v1/reset", #"{"token":"\#(token)","password":"short"}"#).status == 422)
    }

    @Test("the display name changes only for whoever read it last")
    func displayName() async throws {
        let bob = try await self.box.user("bob")
        let me = try await self.box.ask(.get, "/v1/me", token: bob.token)
        let tag = try #require(me.headers[.eTag])
        #expect(try await self.box.ask(.get, "/v1/me", token: bob.token, headers: [.ifNoneMatch: tag]).status == 304)
        let changed = try await self.box.ask(.patch, "/v1/me", token: bob.token, #"{"display":"Bob 🐟"}"#, headers: [.ifMatch: tag])
        #expect(changed.status == 200)
        #expect(changed["display"]?.text == "Bob 🐟")
        let stale = try await self.box.ask(.patch, "/v1/me", token: bob.token, #"{"display":"Other"}"#, headers: [.ifMatch: tag])
        #expect(stale.status == 412)
        #expect(try await self.box.ask(.get, "/v1/me", token: bob.token)["display"]?.text == "Bob 🐟")
        #expect(try await self.box.ask(.get, "/v1/me", token: bob.token).headers[.eTag] == changed.headers[.eTag])
        for bad in [#"{"display":"  "}"#, #"{"display":"a\nb"}"#, "{}", #"{"display":"\#(String(repeating: "x", count: 101))"}"#] {
            #expect(try await self.box.ask(.patch, "/v1/me", token: bob.token, bad).status == 422)
        }
    }

    @Test("changing the password needs the old one and signs the other devices out")
    func password() async throws {
        let bob = try await self.box.user("bob")
        let login = try await self.box.ask(.post, "/v1/login", #"{"name":"bob","password":"\#(Box.password)"}"#)
        let other = try #require(login["token"]?.text)
        #expect(try await self.box.ask(.post, "/v1/me/password", token: bob.token, #"{"old":"wrong wrong","new":"battery staple"}"#).status == 403)
        let short = try await self.box.ask(.post, "/v1/me/password", token: bob.token, #"{"old":"\#(Box.password)","new":"short"}"#)
        #expect(short["errors"]?[0]?["field"]?.text == "new")
        #expect(try await self.box.ask(.post, "/v1/me/password", token: bob.token, #"{"old":"\#(Box.password)","new":"battery staple"}"#).status == 200)
        #expect(try await self.box.ask(.get, "/v1/me", token: other).status == 401)
        #expect(try await self.box.ask(.get, "/v1/me", token: bob.token).status == 200)
    }

    @Test("a device is signed out by its owner and by nobody else")
    func device() async throws {
        let (bob, eve) = (try await self.box.user("bob"), try await self.box.user("eve"))
        let id = try #require(try await self.box.ask(.get, "/v1/me/devices", token: bob.token)["items"]?[0]?["id"]?.text)
        #expect(try await self.box.ask(.delete, "/v1/me/devices/\(id)", token: eve.token).status == 404)
        #expect(try await self.box.ask(.delete, "/v1/me/devices/nonsense", token: bob.token).status == 404)
        #expect(try await self.box.ask(.delete, "/v1/me/devices/\(id)", token: bob.token).status == 204)
        #expect(try await self.box.ask(.get, "/v1/me", token: bob.token).status == 401)
    }

    @Test("a token that has expired says so")
    func expired() async throws {
        let bob = try await self.box.user("bob")
        self.box.pass(seconds: Limits().tokenDays * 86_400)
        let reply = try await self.box.ask(.get, "/v1/me", token: bob.token)
        #expect(reply.status == 401)
        #expect(reply.code == "token_expired")
        #expect(reply.headers[.wwwAuthenticate] == #"Bearer error="invalid_token""#)
    }
}
