import Crypto
import HTTPTypes
import NIOCore
import SkerryModel
import Synchronization

/// Answers to requests that carried an `Idempotency-Key`, so that a client whose answer got lost can ask again and nothing is made twice.
///
/// In memory, for ten minutes, of the box's last `idempotencyKeysMax` such requests; at the bound the oldest is forgotten. Not longer, because
/// some answers hold a token. What must be safe across restarts has a `cid` instead; where a request has neither `cid` nor need of one
/// (`/login`, `/claim`, `/invites/accept`) a lost answer is got over by signing in.
final class IdempotencyStore: Sendable {
    struct Key: Hashable {
        var user: UserID
        var text: String
    }

    enum Outcome {
        /// Go ahead, then call `finish`.
        case new
        case replay(Answer)
        case refused(SkerryError)
    }

    private struct Entry {
        var fingerprint: [UInt8]
        var answer: Answer?
        var since: UInt64
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var order: [Key] = []
    }

    static let keepMilliseconds: UInt64 = 10 * 60_000
    static let keyBytesMax = 255

    private let state = Mutex(State())
    private let keysMax: Int

    init(limits: Limits) { self.keysMax = max(1, limits.idempotencyKeysMax) }

    var count: Int { self.state.withLock(\.entries.count) }

    func begin(_ key: Key, fingerprint: [UInt8], now: UInt64) -> Outcome {
        guard (1...Self.keyBytesMax).contains(key.text.utf8.count) else {
            return .refused(SkerryError(.badRequest, "An Idempotency-Key has 1 to \(Self.keyBytesMax) bytes.", field: "Idempotency-Key"))
        }
        return self.state.withLock { state in
            if let entry = state.entries[key], now - min(now, entry.since) < Self.keepMilliseconds {
                guard entry.fingerprint == fingerprint else {
                    return .refused(SkerryError(.conflict, "This Idempotency-Key was used for another request.", field: "Idempotency-Key"))
                }
                guard let answer = entry.answer else {
                    return .refused(SkerryError(.conflict, "The first request with this Idempotency-Key is not answered yet.", retryAfterSeconds: 1))
                }
                return .replay(answer)
            }
            state.order.removeAll { $0 == key }
            while state.order.count >= self.keysMax { state.entries[state.order.removeFirst()] = nil }
            state.entries[key] = Entry(fingerprint: fingerprint, since: now)
            state.order.append(key)
            return .new
        }
    }

    /// Keeps the answer; nil forgets the key, so that a refused request can be put right and sent again.
    func finish(_ key: Key, _ answer: Answer?) {
        self.state.withLock { state in
            if let answer {
                state.entries[key]?.answer = answer
            } else {
                state.entries[key] = nil
                state.order.removeAll { $0 == key }
            }
        }
    }

    static func fingerprint(_ method: HTTPRequest.Method, _ path: String, _ body: ByteBuffer) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: Array("\(method.rawValue) \(path)\n".utf8))
        body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }
}
