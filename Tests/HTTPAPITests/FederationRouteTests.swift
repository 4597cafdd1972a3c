import HTTPTypes
import NIOCore
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

/// Says what it was told, and answers what the test wants.
private final class ToldFederation: FederationControl, PairingControl {
    private let state = Mutex<(told: [String], error: SkerryError?, progress: PairingProgress)>(([], nil, .idle))
    private static let other = Sample.box

    var told: [String] { self.state.withLock { $0.told } }
    func refuse(_ error: SkerryError?) { self.state.withLock { $0.error = error } }
    func be(_ progress: PairingProgress) { self.state.withLock { $0.progress = progress } }

    private func tell(_ text: String) throws(SkerryError) {
        let error = self.state.withLock { state in
            state.told.append(text)
            return state.error
        }
        if let error { throw error }
    }

    var federation: FederationID? { FederationID([UInt8](repeating: 3, count: 10)) }
    var isIssuer: Bool { true }
    var words: String { "acorn album" }
    var pairing: any PairingControl { self }
    var sisters: [SisterBox] { [] }
    func boxes() async -> [BoxOverview] { [] }
    func assign(previous: BoxID?, token: String?) async throws(SkerryError) -> BoxAssignment { throw SkerryError(.unavailable, "No.") }
    func drain(_ isOn: Bool) async throws(SkerryError) {}

    func invite(waits: Bool) async throws(SkerryError) -> PairingInvite {
        try self.tell("invite \(waits)")
        return PairingInvite(token: "t0k", addresses: ["10.0.0.1:1"], expiresMilliseconds: 1_700_000_000_000, words: self.words)
    }
    func join(token: String) async throws(SkerryError) -> PairingProgress {
        try self.tell("join \(token)")
        return await self.progress()
    }
    func progress() async -> PairingProgress { self.state.withLock { $0.progress } }
    func announce(_ isOn: Bool) async throws(SkerryError) { try self.tell("announce \(isOn)") }
    func candidates() async -> [PairingCandidate] {
        [
            PairingCandidate(
                box: Self.other, name: "kitchen", words: "bagel bamboo", address: "10.0.0.2", state: .waiting, sinceMilliseconds: 1_700_000_000_000)
        ]
    }
    func approve(_ box: BoxID) async throws(SkerryError) { try self.tell("approve \(box)") }
    func ignore(_ box: BoxID) async throws(SkerryError) { try self.tell("ignore \(box)") }
    func remove(_ box: BoxID, isLost: Bool, reason: String) async throws(SkerryError) { try self.tell("remove \(box) \(isLost) \(reason)") }
    func recoveryFile(passphrase: String) async throws(SkerryError) -> [UInt8] {
        try self.tell("recovery \(passphrase)")
        return Array("-----BEGIN".utf8)
    }
    func restoreIssuer(file: [UInt8], passphrase: String) async throws(SkerryError) {
        try self.tell("restore \(String(decoding: file, as: UTF8.self)) \(passphrase)")
    }
}

@Suite struct FederationRouteTests {
    let box = Box()
    private let federation = ToldFederation()
    private static let path = "/v1/admin/federation"

    private static let acts: [(method: HTTPRequest.Method, path: String, body: String?, told: String, status: Int)] = [
        (.post, "\(path)/invites", "{}", "invite false", 201), (.post, "\(path)/invites", #"{"waits":true}"#, "invite true", 201),
        (.post, "\(path)/announce", "{}", "announce true", 204), (.post, "\(path)/announce", #"{"on":false}"#, "announce false", 204),
        (.post, "\(path)/candidates/\(Sample.box)/approve", nil, "approve \(Sample.box)", 204),
        (.post, "\(path)/candidates/\(Sample.box)/ignore", nil, "ignore \(Sample.box)", 204),
        (.delete, "/v1/admin/boxes/\(Sample.box)", nil, "remove \(Sample.box) false ", 204),
        (.delete, "/v1/admin/boxes/\(Sample.box)?lost=true&reason=stolen%20one", nil, "remove \(Sample.box) true stolen one", 204),
        (.post, "\(path)/recovery", #"{"passphrase":"correct horse"}"#, "recovery correct horse", 200),
        (.post, "\(path)/restore", #"{"file":"f","passphrase":"p"}"#, "restore f p", 204),
    ]

    @Test("every act reaches the federation as it was asked for, and its refusal reaches who asked")
    func acts() async throws {
        let admin = try await self.box.claimed()
        self.box.control.attach(self.federation)
        for act in Self.acts {
            let reply = try await self.box.ask(act.method, act.path, token: admin, act.body)
            #expect(reply.status == act.status, "\(act.path): \(String(buffer: reply.body))")
            #expect(self.federation.told.last == act.told)
        }
        self.federation.refuse(SkerryError(.conflict, "Not now."))
        for act in Self.acts {
            let reply = try await self.box.ask(act.method, act.path, token: admin, act.body)
            #expect(reply.status == 409 && reply.code == "conflict" && reply["detail"]?.text == "Not now.", "\(act.path)")
        }
    }

    @Test("what the box is, who waits, and the token are told in full")
    func values() async throws {
        let admin = try await self.box.claimed()
        self.box.control.attach(self.federation)
        self.federation.be(.waiting(name: "attic", words: "cabin cactus"))
        let state = try await self.box.ask(.get, Self.path, token: admin)
        #expect(state["federation"]?.text == self.federation.federation?.description)
        #expect(state["words"]?.text == "acorn album" && state["issuer"]?.flag == true && state["box"]?.text == Sample.box.description)
        #expect(state["progress"]?["state"]?.text == "waiting" && state["progress"]?["name"]?.text == "attic")
        let candidate = try await self.box.ask(.get, "\(Self.path)/candidates", token: admin)["items"]?[0]
        #expect(candidate?["box"]?.text == Sample.box.description && candidate?["name"]?.text == "kitchen" && candidate?["state"]?.text == "waiting")
        #expect(candidate?["words"]?.text == "bagel bamboo" && candidate?["address"]?.text == "10.0.0.2" && candidate?["since"]?.text != nil)
        let invite = try await self.box.ask(.post, "\(Self.path)/invites", token: admin, "{}")
        #expect(invite["token"]?.text == "t0k" && invite["addresses"]?[0]?.text == "10.0.0.1:1" && invite["expires"]?.text != nil)
    }

    @Test("joining is 200 when it is done and 202 while it waits")
    func joining() async throws {
        let admin = try await self.box.claimed()
        self.box.control.attach(self.federation)
        let body = #"{"token":"abc"}"#
        for (progress, status) in [(PairingProgress.joined(name: "a"), 200), (.waiting(name: "a", words: "w"), 202), (.connecting, 202)] {
            self.federation.be(progress)
            let reply = try await self.box.ask(.post, "\(Self.path)/join", token: admin, body)
            #expect(reply.status == status && reply["state"]?.text == progress.text)
        }
        #expect(self.federation.told == ["join abc", "join abc", "join abc"])
    }

    @Test("what is missing or wrong is named, and nothing is told to the federation")
    func wrong() async throws {
        let admin = try await self.box.claimed()
        self.box.control.attach(self.federation)
        for (method, path, body, status, field) in [
            (HTTPRequest.Method.post, "\(Self.path)/join", "{}", 422, "token"), (.post, "\(Self.path)/recovery", "{}", 422, "passphrase"),
            (.post, "\(Self.path)/restore", #"{"passphrase":"x"}"#, 422, "file"), (.post, "\(Self.path)/restore", #"{"file":"x"}"#, 422, "passphrase"),
            (.delete, "/v1/admin/boxes/\(Sample.box)?lost=maybe", nil, 400, "lost"), (.post, "\(Self.path)/invites", #"{"waits":1}"#, 400, "waits"),
        ] as [(HTTPRequest.Method, String, String?, Int, String)] {
            let reply = try await self.box.ask(method, path, token: admin, body)
            #expect(reply.status == status && reply["errors"]?[0]?["field"]?.text == field, "\(path): \(String(buffer: reply.body))")
        }
        for path in ["\(Self.path)/candidates/nobody/approve", "\(Self.path)/candidates/nobody/ignore"] {
            #expect(try await self.box.ask(.post, path, token: admin).status == 404)
        }
        #expect(try await self.box.ask(.delete, "/v1/admin/boxes/nobody", token: admin).status == 404)
        #expect(self.federation.told.isEmpty)
    }

    @Test("only administrators may, and a box without a federation says so")
    func access() async throws {
        let admin = try await self.box.claimed()
        let bob = try await self.box.user("bob")
        for act in Self.acts {
            #expect(try await self.box.ask(act.method, act.path, token: admin, act.body).status == 503, "nothing is attached yet")
        }
        self.box.control.attach(self.federation)
        for act in Self.acts + [(.get, Self.path, nil, "", 0), (.get, "\(Self.path)/candidates", nil, "", 0)] {
            #expect(try await self.box.ask(act.method, act.path, token: bob.token, act.body).status == 403, "\(act.path)")
            #expect(try await self.box.ask(act.method, act.path, token: nil, act.body).status == 401, "\(act.path)")
        }
        #expect(self.federation.told.isEmpty)
    }
}
