import HTTPTypes
import NIOCore
import SkerryModel
import SkerryNode
import Testing

@Suite struct ChatRouteTests {
    let box = Box()

    private func pair() async throws -> (bob: String, eve: String, bobID: String, eveID: String) {
        let (bob, eve) = (try await self.box.user("bob"), try await self.box.user("eve"))
        return (bob.token, eve.token, bob.id, eve.id)
    }

    private func group(_ owner: String, _ members: String) async throws -> String {
        let body = #"{"type":"group","title":"Boats","members":\#(members),"cid":"g1"}"#
        let reply = try await self.box.ask(.post, "/v1/conversations", token: owner, body)
        return try #require(reply["conversation"]?["id"]?.text)
    }

    @Test("a message sent twice is stored once, and other content under its cid is a conflict")
    func send() async throws {
        let (bob, eve, bobID, _) = try await self.pair()
        let body = #"{"cid":"a1","kind":"text","text":"在吗"}"#
        let first = try await self.box.ask(.post, "/v1/conversations/@eve/messages", token: bob, body)
        #expect(first.status == 201)
        #expect(first["dup"]?.flag == false)
        let second = try await self.box.ask(.post, "/v1/conversations/@eve/messages", token: bob, body)
        #expect(second.status == 200)
        #expect(second["mid"] == first["mid"])
        #expect(try await self.box.ask(.post, "/v1/conversations/@eve/messages", token: bob, #"{"cid":"a1","text":"else"}"#).status == 409)
        let page = try await self.box.ask(.get, "/v1/conversations/@bob/messages", token: eve)
        #expect(page["items"]?.items.map { $0["text"]?.text } == ["在吗"])
        #expect(page["items"]?[0]?["from"]?.text == bobID)
        #expect(page["items"]?[0]?["cid"] == nil)
        #expect(page["more"]?.flag == false)
    }

    @Test("an Idempotency-Key stands in for the cid")
    func keyAsCID() async throws {
        let (bob, _, _, _) = try await self.pair()
        let send = { try await self.box.ask(.post, "/v1/conversations/@eve/messages", token: bob, #"{"text":"hi"}"#, headers: [.idempotency: "k-1"]) }
        let (first, second) = (try await send(), try await send())
        #expect(first.status == 201)
        #expect(second.status == 200)
        #expect(second["order"] == first["order"])
        #expect(try await self.box.ask(.post, "/v1/conversations/@eve/messages", token: bob, #"{"text":"hi"}"#).status == 422)
    }

    @Test("a name of any script reaches its owner through the path, percent-encoded or not")
    func names() async throws {
        let bob = try await self.box.user("bob")
        _ = try await self.box.user("李雷")
        for (index, path) in ["/v1/conversations/@%E6%9D%8E%E9%9B%B7/messages", "/v1/conversations/%40李雷/messages"].enumerated() {
            #expect(try await self.box.ask(.post, path, token: bob.token, #"{"cid":"n\#(index)","text":"你好"}"#).status == 201)
        }
        for path in ["@%E6%9D", "@%zz", "@bob%00", "@a%2Fb", "%"] {
            let reply = try await self.box.ask(.get, "/v1/conversations/\(path)/messages", token: bob.token)
            #expect(reply.status == 400, "\(path)")
        }
        #expect(try await self.box.ask(.get, "/v1/conversations/@nobody", token: bob.token).status == 404)
    }

    @Test("a group is made once, renamed, filled, handed over and left")
    func groups() async throws {
        let (bob, eve, _, eveID) = try await self.pair()
        _ = try await self.box.user("dan")
        let id = try await self.group(bob, #"["@eve"]"#)
        let again = try await self.box.ask(.post, "/v1/conversations", token: bob, #"{"type":"group","title":"Boats","members":["@eve"],"cid":"g1"}"#)
        #expect(again.status == 200)
        #expect(again["dup"]?.flag == true)
        let path = "/v1/conversations/\(id)"
        #expect(try await self.box.ask(.patch, path, token: eve, #"{"title":"Mine"}"#).status == 403)
        let renamed = try await self.box.ask(.patch, path, token: bob, #"{"title":"Ships"}"#)
        #expect(renamed["conversation"]?["title"]?.text == "Ships")
        let invited = try await self.box.ask(.post, "\(path)/members", token: bob, #"{"users":["@dan"]}"#)
        #expect(invited["conversation"]?["members"]?.count == 3)
        #expect(try await self.box.ask(.put, "\(path)/members/\(eveID)", token: bob, #"{"role":"admin"}"#).status == 200)
        #expect(try await self.box.ask(.put, "\(path)/members/\(eveID)", token: bob, #"{"role":"king"}"#).status == 422)
        #expect(try await self.box.ask(.delete, "\(path)/members/@dan", token: eve).status == 200)
        let left = try await self.box.ask(.delete, "\(path)/members/@bob", token: bob)
        #expect(left.status == 204)
        #expect(try await self.box.ask(.get, path, token: bob).status == 404)
        #expect(try await self.box.ask(.get, path, token: eve)["conversation"]?["role"]?.text == "owner")
    }

    @Test("If-Match keeps a title that somebody else has changed")
    func titleMatch() async throws {
        let (bob, _, _, _) = try await self.pair()
        let id = try await self.group(bob, #"["@eve"]"#)
        let tag = try #require(try await self.box.ask(.get, "/v1/conversations/\(id)", token: bob).headers[.eTag])
        #expect(try await self.box.ask(.patch, "/v1/conversations/\(id)", token: bob, #"{"title":"One"}"#, headers: [.ifMatch: tag]).status == 200)
        let stale = try await self.box.ask(.patch, "/v1/conversations/\(id)", token: bob, #"{"title":"Two"}"#, headers: [.ifMatch: tag])
        #expect(stale.status == 412)
        #expect(stale.code == "precondition_failed")
        let now = try await self.box.ask(.get, "/v1/conversations/\(id)", token: bob)
        #expect(now["conversation"]?["title"]?.text == "One")
        #expect(try await self.box.ask(.get, "/v1/conversations/\(id)", token: bob, headers: [.ifNoneMatch: now.headers[.eTag] ?? ""]).status == 304)
    }

    @Test("a direct conversation is started once")
    func direct() async throws {
        let (bob, _, _, eveID) = try await self.pair()
        #expect(try await self.box.ask(.post, "/v1/conversations", token: bob, #"{"type":"direct","user":"@eve"}"#).status == 201)
        #expect(try await self.box.ask(.post, "/v1/conversations", token: bob, #"{"type":"direct","user":"\#(eveID)"}"#).status == 200)
        #expect(try await self.box.ask(.post, "/v1/conversations", token: bob, #"{"type":"direct","user":"@nobody"}"#).status == 404)
        #expect(try await self.box.ask(.post, "/v1/conversations", token: bob, #"{"type":"square"}"#).status == 422)
        let list = try await self.box.ask(.get, "/v1/conversations", token: bob)
        #expect(list["items"]?.count == 1)
    }

    @Test("a message is edited, reacted to, taken back, and each is refused to a stranger")
    func changes() async throws {
        let (bob, eve, _, _) = try await self.pair()
        let dan = try await self.box.user("dan").token
        let sent = try await self.box.ask(.post, "/v1/conversations/@eve/messages", token: bob, #"{"cid":"a1","text":"helo"}"#)
        let path = "/v1/messages/\(try #require(sent["mid"]?.text))"
        #expect(try await self.box.ask(.patch, path, token: bob, #"{"text":"hello"}"#).status == 200)
        #expect(try await self.box.ask(.patch, path, token: eve, #"{"text":"mine"}"#).status == 403)
        #expect(try await self.box.ask(.put, "\(path)/reactions", token: eve, #"{"emoji":"👍","on":true}"#).status == 200)
        #expect(try await self.box.ask(.put, "\(path)/reactions", token: dan, #"{"emoji":"👍","on":true}"#).status == 404)
        #expect(try await self.box.ask(.put, "\(path)/reactions", token: eve, "{}").status == 422)
        #expect(try await self.box.ask(.delete, path, token: dan).status == 404)
        #expect(try await self.box.ask(.delete, path, token: bob).status == 200)
        #expect(try await self.box.ask(.delete, "/v1/messages/xyz", token: bob).status == 422)
        let page = try await self.box.ask(.get, "/v1/conversations/@bob/messages", token: eve)
        #expect(page["items"]?[0]?["recalled"]?.flag == true)
        #expect(page["items"]?[0]?["text"] == nil)
    }

    @Test("receipts, blocks and sync answer as the WebSocket does")
    func others() async throws {
        let (bob, eve, bobID, _) = try await self.pair()
        let sent = try await self.box.ask(.post, "/v1/conversations/@eve/messages", token: bob, #"{"cid":"a1","text":"hi"}"#)
        let order = try #require(sent["order"]?.text)
        let start = try await self.box.ask(.get, "/v1/sync", token: eve)
        #expect(start["status"]?.text == "reset")
        let cursor = try #require(start["cursor"]?.text)
        #expect(try await self.box.ask(.post, "/v1/conversations/@bob/receipt", token: eve, #"{"read":"\#(order)"}"#).status == 204)
        #expect(try await self.box.ask(.post, "/v1/conversations/@bob/receipt", token: eve, "{}").status == 422)
        let sync = try await self.box.ask(.get, "/v1/sync?since=\(cursor)&limit=10", token: eve)
        #expect(sync["items"]?.items.map { $0["t"]?.text } == ["receipt"])
        #expect(try await self.box.ask(.get, "/v1/sync?since=nonsense", token: eve).status == 422)
        #expect(try await self.box.ask(.put, "/v1/blocks/@bob", token: eve).status == 204)
        #expect(try await self.box.ask(.get, "/v1/blocks", token: eve)["items"]?[0]?.text == bobID)
        let refused = try await self.box.ask(.post, "/v1/conversations/@eve/messages", token: bob, #"{"cid":"a2","text":"hi"}"#)
        #expect(refused.status == 403)
        #expect(refused.code == "blocked")
        #expect(try await self.box.ask(.delete, "/v1/blocks/@bob", token: eve).status == 204)
        #expect(try await self.box.ask(.get, "/v1/blocks", token: eve)["items"]?.count == 0)
        #expect(try await self.box.ask(.put, "/v1/blocks/bob", token: eve).status == 422)
    }

    @Test("lists are paged, and a limit larger than the box allows is an error")
    func paging() async throws {
        let (bob, _, _, _) = try await self.pair()
        let first = try await self.box.ask(.get, "/v1/users?limit=1", token: bob)
        #expect(first["items"]?[0]?["name"]?.text == "bob")
        let next = try #require(first["next"]?.text)
        let second = try await self.box.ask(.get, "/v1/users?limit=1&after=\(next)", token: bob)
        #expect(second["items"]?[0]?["name"]?.text == "eve")
        #expect(second["next"] == nil)
        #expect(try await self.box.ask(.get, "/v1/users?q=E", token: bob)["items"]?.count == 1)
        for path in ["/v1/users?limit=101", "/v1/conversations?limit=201", "/v1/sync?limit=501", "/v1/conversations/@eve/messages?limit=201"] {
            let reply = try await self.box.ask(.get, path, token: bob)
            #expect(reply.status == 422, "\(path)")
            #expect(reply["errors"]?[0]?["field"]?.text == "limit", "\(path)")
        }
        #expect(try await self.box.ask(.get, "/v1/users?limit=many", token: bob).status == 422)
        #expect(try await self.box.ask(.get, "/v1/conversations?after=nonsense", token: bob).status == 422)
        #expect(try await self.box.ask(.get, "/v1/users?q=%E6%9D", token: bob).status == 400)
        let both = try await self.box.ask(.get, "/v1/conversations/@eve/messages?before=a&after=b", token: bob)
        #expect(both.status == 422)
    }
}

extension HTTPField.Name {
    static let idempotency = HTTPField.Name("Idempotency-Key") ?? .ifMatch
    static let requestID = HTTPField.Name("X-Request-Id") ?? .ifMatch
    static let remaining = HTTPField.Name("RateLimit-Remaining") ?? .ifMatch
}
