import Account
import ChatCodec
import Logging
import NIOCore
import SkerryModel
import Synchronization
import Testing

@testable import SkerryNode

/// What was logged: each line's pairs.
private final class Lines: Sendable {
    private let state = Mutex<[[String: String]]>([])
    var all: [[String: String]] { self.state.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info
        init(lines: Lines) { self.lines = lines }
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            self.lines.state.withLock { $0.append((event.metadata ?? [:]).mapValues { "\($0)" }) }
        }
    }
}

private final class Hand: Sendable {
    private let time = Mutex<UInt64>(1_000)
    var clock: NodeClock { NodeClock(wall: { 0 }, monotonic: { self.time.withLock { $0 } }) }
    func pass(_ milliseconds: UInt64) { self.time.withLock { $0 += milliseconds } }
}

@Suite("Who was not let in")
struct RefusalLogTests {
    private static func address(_ number: Int) -> AddressKey { AddressKey(packed: [10, 0, UInt8(number >> 8), UInt8(number & 0xFF)]) }

    @Test("one address has a line in ten seconds, and the next one counts what had none")
    func oneAddress() {
        let (lines, hand) = (Lines(), Hand())
        let log = RefusalLog(logger: lines.logger, clock: hand.clock)
        for _ in 0..<500 { log.note("password", reason: "unauthenticated", name: "ann", address: Self.address(1)) }
        #expect(lines.all == [["by": "password", "reason": "unauthenticated", "name": "ann", "address": "10.0.0.1"]])
        hand.pass(10_000)
        log.note("token", reason: "token_expired", address: Self.address(1))
        #expect(lines.all.last == ["by": "token", "reason": "token_expired", "address": "10.0.0.1", "unlogged": "499"])
    }

    @Test("a thousand addresses have twenty lines a minute, and take bounded memory")
    func manyAddresses() {
        let (lines, hand) = (Lines(), Hand())
        let log = RefusalLog(logger: lines.logger, clock: hand.clock)
        for number in 0..<1_000 { log.note("link", reason: "not_found", address: Self.address(number)) }
        #expect(lines.all.count == RefusalLog.linesPerMinute)
        hand.pass(60_000)
        for number in 0..<1_000 { log.note("link", reason: "not_found", address: Self.address(number)) }
        #expect(lines.all.count == 2 * RefusalLog.linesPerMinute)
        #expect(lines.all.last?["unlogged"] == nil && lines.all[RefusalLog.linesPerMinute]["unlogged"] == "980")
    }

    @Test("every door leaves a line: with the name of an account that exists, never what was typed, never a secret")
    func doors() async throws {
        let (lines, hand) = (Lines(), Hand())
        let world = AccountWorld()
        _ = try await world.claimed()
        let accounts = AccountService(node: world.node, cost: .weakest, refusals: RefusalLog(logger: lines.logger, clock: hand.clock))
        func refused(_ body: () async throws -> Void) async -> [String: String]? {
            let before = lines.all.count
            await #expect(throws: SkerryError.self) { try await body() }
            hand.pass(10_000)
            return lines.all.count == before + 1 ? lines.all.last : nil
        }
        let home = ["address": "192.168.1.10"]
        let password = ["by": "password", "reason": "unauthenticated"].merging(home) { a, _ in a }
        #expect(
            await refused { _ = try await accounts.login(name: "ADA", password: "my secret word", device: nil, address: world.home) }
                == password.merging(["name": "ada"]) { a, _ in a })
        #expect(await refused { _ = try await accounts.login(name: "hunter2", password: "x", device: nil, address: world.home) } == password)
        #expect(
            await refused { _ = try await accounts.authenticate(token: "sk_nonsense", address: world.home) }
                == ["by": "token", "reason": "unauthenticated"].merging(home) { a, _ in a })
        #expect(
            await refused { _ = try await accounts.checkInvite(token: "si_nonsense", address: world.home) }
                == ["by": "link", "reason": "not_found"].merging(home) { a, _ in a })
        _ = try await accounts.createUser(name: "bob", password: AccountWorld.password, role: .user, by: .console)
        try await accounts.lock(.name(key: "bob"), by: .console)
        #expect(
            await refused { _ = try await accounts.login(name: "bob", password: AccountWorld.password, device: nil, address: world.home) }?["reason"]
                == "forbidden")
        for _ in 0..<20 { _ = try? await accounts.login(name: "ada", password: "wrong", device: nil, address: world.elsewhere) }
        hand.pass(10_000)
        #expect(
            await refused { _ = try await accounts.login(name: "ada", password: "wrong", device: nil, address: world.elsewhere) }?["reason"] == "rate_limited")
        let text = "\(lines.all)"
        for secret in ["secret", "hunter2", "nonsense", "correct", "wrong"] { #expect(!text.contains(secret)) }
    }
}
