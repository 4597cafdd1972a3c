import HTTPTypes
import NIOCore
import SkerryModel
import TestKit
import Testing

@Suite struct AccessRouteTests {
    let box = Box()

    @Test("rules are added, listed and taken back; what is wrong is named")
    func rules() async throws {
        let admin = try await self.box.claimed()
        let bob = try await self.box.user("bob")
        let path = "/v1/admin/access/rules"
        #expect(try await self.box.ask(.get, path, token: admin)["items"]?.count == 0)
        let made = try await self.box.ask(.post, path, token: admin, #"{"user":"@bob","effect":"allow","access":"publish","filter":"dev/%u/#"}"#)
        #expect(made.status == 201)
        #expect(made["user"]?.text == bob.id && made["name"]?.text == "bob" && made["role"] == nil)
        #expect(made["effect"]?.text == "allow" && made["access"]?.text == "publish" && made["filter"]?.text == "dev/%u/#")
        let role = try await self.box.ask(.post, path, token: admin, #"{"role":"anonymous","effect":"deny","filter":"a"}"#)
        #expect(role.status == 201 && role["role"]?.text == "anonymous" && role["access"]?.text == "all" && role["user"] == nil)
        for (body, status, field) in [
            (#"{"role":"user","effect":"deny"}"#, 422, "filter"), (#"{"role":"user","filter":"a","effect":"x"}"#, 422, "effect"),
            (#"{"role":"king","filter":"a","effect":"deny"}"#, 422, "role"), (#"{"filter":"a","effect":"deny"}"#, 422, "user"),
            (#"{"role":"user","filter":"a","effect":"deny","access":"read"}"#, 422, "access"),
            (#"{"role":"user","filter":"a#","effect":"deny"}"#, 422, "filter"),
            (#"{"role":"anonymous","effect":"deny","filter":"a"}"#, 409, "filter"), (#"{"user":"bob","filter":"a","effect":"deny"}"#, 422, "user"),
        ] {
            let refused = try await self.box.ask(.post, path, token: admin, body)
            #expect(refused.status == status, "\(body)")
            #expect(refused["errors"]?[0]?["field"]?.text == field, "\(body)")
        }
        #expect(try await self.box.ask(.post, path, token: admin, #"{"user":"@nobody","filter":"a","effect":"deny"}"#).status == 404)
        #expect(try await self.box.ask(.get, path, token: admin)["items"]?.items.compactMap { $0["id"]?.text } == [made["id"]?.text, role["id"]?.text])
        let id = try #require(made["id"]?.text)
        #expect(try await self.box.ask(.delete, "\(path)/\(id)", token: admin).status == 204)
        #expect(try await self.box.ask(.delete, "\(path)/\(id)", token: admin).status == 404)
        #expect(try await self.box.ask(.delete, "\(path)/nothing", token: admin).status == 404)
        for (method, path) in [
            (HTTPRequest.Method.get, path), (.post, path), (.delete, "\(path)/\(id)"), (.get, "/v1/admin/access/check?access=publish&topic=a"),
        ] {
            #expect(
                try await self.box.ask(method, path, token: bob.token, method == .post ? #"{"role":"user","effect":"deny","filter":"z"}"# : nil).status == 403)
        }
    }

    @Test("a question is answered with yes or no, the reason and the rule")
    func check() async throws {
        let admin = try await self.box.claimed()
        _ = try await self.box.user("bob")
        let rule = try await self.box.ask(.post, "/v1/admin/access/rules", token: admin, #"{"role":"user","effect":"deny","filter":"a/%c"}"#)
        func check(_ query: String) async throws -> Box.Reply { try await self.box.ask(.get, "/v1/admin/access/check?\(query)", token: admin) }
        let denied = try await check("user=@bob&client=c%201&access=publish&topic=a/c%201")
        #expect(denied["allowed"]?.flag == false && denied["rule"]?["id"]?.text == rule["id"]?.text && denied["reason"]?.text?.isEmpty == false)
        #expect(try await check("user=@bob&client=c2&access=subscribe&topic=a/%2B")["allowed"]?.flag == true)
        #expect(try await check("access=publish&topic=a")["allowed"]?.flag == false, "nothing is open to clients without an account")
        for (query, field) in [("access=publish", "topic"), ("topic=a", "access"), ("access=all&topic=a", "access"), ("access=publish&topic=%23", "topic")] {
            let refused = try await check(query)
            #expect(refused.status == 422 && refused["errors"]?[0]?["field"]?.text == field, "\(query)")
        }
    }
}
