import ChatCodec
import HTTPTypes
import Hummingbird
import NIOCore
import Testing

@Suite struct DocumentTests {
    let box = Box()

    @Test("every route that is registered is described, and every route that is described is registered")
    func complete() async throws {
        let document = try #require(try await self.box.ask(.get, "/v1/openapi.json").json)
        #expect(document["openapi"]?.text == "3.1.0")
        var described = Set<String>()
        for path in try #require(document["paths"]).keys {
            for method in try #require(document["paths"]?[path]).keys { described.insert("\(method.uppercased()) \(path)") }
        }
        var registered = Set<String>()
        for route in self.box.routes where route.method != .options && route.method != .head {
            // The other methods of a known path are registered too, only to say that they are not allowed.
            let reply = try await self.box.ask(route.method, Self.example(route.path))
            if reply.status != 405 { registered.insert("\(route.method.rawValue) \(route.path)") }
        }
        #expect(registered == described)
        #expect(described.count > 40)
    }

    @Test("every reference of the document leads somewhere, and every operation has a name of its own")
    func references() async throws {
        let document = try #require(try await self.box.ask(.get, "/v1/openapi.json").json)
        let schemas = Set(try #require(document["components"]?["schemas"]).keys)
        var names: [String] = []
        var references = Set<String>()
        func walk(_ value: JSON) {
            if let reference = value["$ref"]?.text { references.insert(String(reference.dropFirst("#/components/schemas/".count))) }
            if let name = value["operationId"]?.text { names.append(name) }
            for key in value.keys { if let child = value[key] { walk(child) } }
            for child in value.items { walk(child) }
        }
        walk(document)
        #expect(references.isSubset(of: schemas))
        #expect(schemas.subtracting(references).isEmpty)
        #expect(Set(names).count == names.count)
        #expect(!names.isEmpty)
    }

    @Test("the document is answered with a tag and need not be sent twice")
    func tag() async throws {
        let first = try await self.box.ask(.get, "/v1/openapi.json")
        let tag = try #require(first.headers[.eTag])
        let second = try await self.box.ask(.get, "/v1/openapi.json", headers: [.ifNoneMatch: "\"other\", \(tag)"])
        #expect(second.status == 304)
        #expect(second.body.readableBytes == 0)
    }

    @Test("the AsyncAPI document names every verb of the chat")
    func asyncAPI() async throws {
        let document = try #require(try await self.box.ask(.get, "/v1/asyncapi.json").json)
        #expect(document["asyncapi"]?.text == "3.0.0")
        let received = try #require(document["operations"]).keys.filter {
            document["operations"]?[$0]?["action"]?.text == "receive" && document["operations"]?[$0]?["channel"]?["$ref"]?.text == "#/channels/chat"
        }
        #expect(Set(received) == Set(ChatVerb.allCases.map(\.rawValue) + ["hello"]))
    }

    @Test("every reference of the AsyncAPI document leads somewhere")
    func asyncReferences() async throws {
        let document = try #require(try await self.box.ask(.get, "/v1/asyncapi.json").json)
        var dangling: [String] = []
        func walk(_ value: JSON) {
            if let reference = value["$ref"]?.text {
                let target = reference.split(separator: "/").dropFirst().reduce(JSON?.some(document)) { $0?[String($1)] }
                if target == nil { dangling.append(reference) }
            }
            for key in value.keys { if let child = value[key] { walk(child) } }
            for child in value.items { walk(child) }
        }
        walk(document)
        #expect(dangling == [])
    }

    static func example(_ path: String) -> String {
        path.split(separator: "/").map { $0.hasPrefix("{") ? "x" : String($0) }.reduce("") { "\($0)/\($1)" }
    }
}
