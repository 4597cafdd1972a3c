import HTTPTypes
import Replication
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

@Suite("Boxes, assignment and drain over REST")
struct LoadRouteTests {
    let box = Box()

    /// A federation of this box and another, as the routes see one.
    private final class Sisters: FederationControl {
        let drains = Mutex<[Bool]>([])
        let asked = Mutex<[(BoxID?, String?)]>([])
        let hasOther: Bool

        init(hasOther: Bool = true) { self.hasOther = hasOther }

        var federation: FederationID? { FederationID([UInt8](repeating: 3, count: 10)) }
        var sisters: [SisterBox] { [] }
        var pairing: any PairingControl { fatalError("not asked for here") }

        func boxes() async -> [BoxOverview] {
            var other = BoxOverview(box: Sample.box(2), name: "attic", isSelf: false, isIssuer: true, liveness: .unreachable)
            other.lastSeenMilliseconds = 1_700_000_000_000
            other.version = "9.9"
            other.sync = PeerSync(phase: .live, behind: 5, ahead: 1 << 60, unacknowledgedBytes: 7, quarantine: .clone)
            (other.entriesKnown, other.entriesHeld, other.backlogEntries) = (1 << 60, 3, 2)
            other.clockOffsetMilliseconds = -1_234
            other.load = BoxLoad(connections: 5, connectionsMax: 10, weight: 1.5, memory: 0.5)
            other.endpoints = [BoxEndpoint(kind: "http", address: "10.0.0.2", port: 80), BoxEndpoint(kind: "federation", address: "10.0.0.2", port: 9)]
            (other.trouble, other.remedy) = ("Broken.", "Mend it.")
            let gone = BoxOverview(box: Sample.box(3), name: "gone", standing: .removed, isSelf: false)
            let itself = BoxOverview(box: Sample.box, name: "here", isSelf: true, isIssuer: false, liveness: .alive)
            return self.hasOther ? [itself, other, gone] : [itself, gone]
        }

        func assign(previous: BoxID?, token: String?) async throws(SkerryError) -> BoxAssignment {
            self.asked.withLock { $0.append((previous, token)) }
            let there = [BoxEndpoint(kind: "https", address: "fd00::2", port: 443), BoxEndpoint(kind: "federation", address: "10.0.0.2", port: 9)]
            return BoxAssignment(box: Sample.box(2), endpoints: there, alternates: [(Sample.box, [])], secondsToLive: 60, token: "t")
        }

        func drain(_ isOn: Bool) async throws(SkerryError) { self.drains.withLock { $0.append(isOn) } }
    }

    @Test("a box without a federation answers with itself alone")
    func alone() async throws {
        let admin = try await self.box.claimed()
        let boxes = try await self.box.ask(.get, "/v1/boxes", token: admin)
        #expect(boxes["items"]?.count == 1)
        #expect(boxes["items"]?[0]?["box"]?.text == Sample.box.description)
        #expect(boxes["items"]?[0]?["isSelf"]?.flag == true && boxes["items"]?[0]?["reachable"]?.flag == true)
        let listed = try await self.box.ask(.get, "/v1/admin/boxes", token: admin)
        #expect(listed["items"]?.count == 1 && listed["federation"] == nil && listed["isIssuer"] == nil)
        let answer = try await self.box.ask(.get, "/v1/assign")
        #expect(answer.status == 200 && answer["box"]?.text == Sample.box.description && answer["alternates"]?.count == 0)
        let token = try #require(answer["token"]?.text)
        #expect(try await self.box.ask(.get, "/v1/assign?token=\(token)&prev=\(Sample.box)").status == 200)
        #expect(try await self.box.ask(.post, "/v1/admin/drain", token: admin, #"{"on":true}"#).status == 409)
        #expect(try await self.box.ask(.post, "/v1/admin/drain", token: admin, #"{"on":false}"#).status == 200)
    }

    @Test("people see who is reachable and where, administrators everything, and 64-bit numbers are texts")
    func list() async throws {
        let admin = try await self.box.claimed()
        self.box.control.attach(Sisters())
        let boxes = try await self.box.ask(.get, "/v1/boxes", token: admin)
        #expect(boxes["items"]?.count == 2, "removed boxes are no business of people")
        #expect(boxes["items"]?[1]?["endpoints"]?[0]?.text == "ws://10.0.0.2:80/v1/ws")
        #expect(boxes["items"]?[1]?["reachable"]?.flag == false)
        #expect(boxes["items"]?[1]?["trouble"] == nil && boxes["items"]?[1]?["load"] == nil)
        let listed = try await self.box.ask(.get, "/v1/admin/boxes", token: admin)
        let other = try #require(listed["items"]?[1])
        #expect(listed["items"]?.count == 3 && listed["isIssuer"]?.flag == false && listed["federation"]?.text?.isEmpty == false)
        #expect(other["sync"]?["ahead"]?.text == "1152921504606846976" && other["sync"]?["quarantine"]?.text == "clone")
        #expect(other["entriesKnown"]?.text == "1152921504606846976" && other["clockOffsetMilliseconds"]?.text == "-1234")
        #expect(other["load"]?["score"]?.number == 0.5 && other["endpoints"]?[1]?["kind"]?.text == "federation")
        #expect(other["trouble"]?.text == "Broken." && other["remedy"]?.text == "Mend it.")
        #expect(listed["items"]?[2]?["standing"]?.text == "removed")
    }

    @Test("a client is named a box without the federation's own endpoint, and what it says is handed on or refused by name")
    func assign() async throws {
        let sisters = Sisters()
        self.box.control.attach(sisters)
        let answer = try await self.box.ask(.get, "/v1/assign?prev=\(Sample.box(3))")
        #expect(answer["box"]?.text == Sample.box(2).description && answer["ttl"]?.number == 60 && answer["token"]?.text == "t")
        #expect(answer["endpoints"]?.count == 2 && answer["endpoints"]?[0]?.text == "wss://[fd00::2]:443/v1/ws")
        #expect(answer["alternates"]?[0]?["box"]?.text == Sample.box.description)
        #expect(sisters.asked.withLock { $0.first?.0 } == Sample.box(3))
        for query in ["prev=x", "prev=", "token=x", "token=\(String(repeating: "v", count: 32))"] {
            #expect(try await self.box.ask(.get, "/v1/assign?\(query)").status == 422)
        }
        #expect(self.box.node.metrics.value(.clientsAssigned) == 1)
    }

    @Test("only administrators drain, and only where there is another box")
    func drain() async throws {
        let admin = try await self.box.claimed()
        let sisters = Sisters()
        self.box.control.attach(sisters)
        #expect(try await self.box.ask(.post, "/v1/admin/drain", #"{"on":true}"#).status == 401)
        #expect(try await self.box.ask(.post, "/v1/admin/drain", token: admin, "{}").status == 422)
        #expect(try await self.box.ask(.post, "/v1/admin/drain", token: admin, #"{"on":true}"#).status == 200)
        #expect(try await self.box.ask(.post, "/v1/admin/drain", token: admin, #"{"on":false}"#).status == 200)
        #expect(sisters.drains.withLock { $0 } == [true, false])
        self.box.control.attach(Sisters(hasOther: false))
        #expect(try await self.box.ask(.post, "/v1/admin/drain", token: admin, #"{"on":true}"#).status == 409)
    }

    @Test("a drained box is not ready and says why")
    func readiness() async throws {
        self.box.node.moving.drain(true)
        let answer = try await self.box.ask(.get, "/readyz")
        #expect(answer.status == 503 && answer["reasons"]?[0]?.text == "The box is being drained.")
        self.box.node.moving.drain(false)
        #expect(try await self.box.ask(.get, "/readyz").status == 200)
    }
}
