import NIOCore
import SkerryModel
import Store

extension StoreContract {
    static let brokerClaims: [StoreClaim] = [
        StoreClaim("Sessions are listed by rising number, page by page, and replaced by number") { place in
            let store = try place.open()
            defer { store.close() }
            @Sendable func session(_ number: Int32, _ state: String) -> BrokerSessionRecord {
                BrokerSessionRecord(number: number, clientID: "client \(number)\u{0}", state: ByteBuffer(string: state))
            }
            let last: Int32 = (1 << 27) - 1
            try await store.commit { transaction in
                for record in [session(3, "c"), session(1, ""), session(last, "z"), session(3, "C")] { try transaction.putBrokerSession(record) }
            }
            try expect(try await store.read { try $0.brokerSessions(after: 0, limit: 2) }, [session(1, ""), session(3, "C")])
            try expect(try await store.read { try $0.brokerSessions(after: 3, limit: 9) }, [session(last, "z")])
            try expect(try await store.read { try $0.brokerSessions(after: last, limit: 9) }, [])
            for number: Int32 in [0, -1, 1 << 27] {
                try await expectFailure(.constraint) { try await store.commit { try $0.putBrokerSession(session(number, "")) } }
            }
        },
        StoreClaim("A session's subscriptions are listed by filter bytewise and replaced by filter") { place in
            let store = try place.open()
            defer { store.close() }
            @Sendable func subscription(_ session: Int32, _ filter: String, _ options: UInt8, _ id: UInt32 = 0) -> BrokerSubscriptionRecord {
                BrokerSubscriptionRecord(session: session, filter: filter, options: options, subscriptionID: id)
            }
            try await store.commit { transaction in
                for row in [subscription(1, "b/#", 1), subscription(1, "$share/g/b", 2, 268_435_455), subscription(1, "b/#", 0x2E, 7), subscription(2, "a", 0)]
                {
                    try transaction.putBrokerSubscription(row)
                }
                try transaction.putBrokerSubscription(subscription(1, "gone", 0))
                try transaction.removeBrokerSubscription(session: 1, filter: "gone")
                try transaction.removeBrokerSubscription(session: 1, filter: "never there")
            }
            try expect(
                try await store.read { try $0.brokerSubscriptions(of: 1) },
                [subscription(1, "$share/g/b", 2, 268_435_455), subscription(1, "b/#", 0x2E, 7)])
            try expect(try await store.read { try $0.brokerSubscriptions(of: 9) }, [])
        },
        StoreClaim("Removing a session takes its subscriptions and half-received messages, and leaves its queue and all others") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                for number: Int32 in [1, 2] {
                    try transaction.putBrokerSession(BrokerSessionRecord(number: number, clientID: "\(number)", state: ByteBuffer()))
                    try transaction.putBrokerSubscription(BrokerSubscriptionRecord(session: number, filter: "a", options: 0, subscriptionID: 0))
                    try transaction.putInbound(InboundRecord(session: number, packetID: .max, body: ByteBuffer(string: "x")))
                    try transaction.appendQueue(Self.queued(number, 1))
                }
                try transaction.removeBrokerSession(1)
                try transaction.removeBrokerSession(77)
            }
            try expect(try await store.read { try $0.brokerSessions(after: 0, limit: 9).map(\.number) }, [2])
            try expect(try await store.read { try $0.brokerSubscriptions(of: 1).count }, 0)
            try expect(try await store.read { try $0.brokerSubscriptions(of: 2).count }, 1)
            try expect(try await store.read { try $0.inboundPublications(of: 1).count }, 0)
            try expect(try await store.read { try $0.inboundPublications(of: 2).count }, 1)
            try expect(try await store.read { try $0.queueBounds(of: 1)?.last }, 1)
        },
        StoreClaim("Queues without a session are found, page by page") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                for number: Int32 in [1, 2, 5, 9] { for seq in UInt64(1)...3 { try transaction.appendQueue(Self.queued(number, seq)) } }
                try transaction.putBrokerSession(BrokerSessionRecord(number: 2, clientID: "two", state: ByteBuffer()))
                try transaction.putBrokerSession(BrokerSessionRecord(number: 3, clientID: "three", state: ByteBuffer()))
            }
            try expect(try await store.read { try $0.orphanedQueues(after: 0, limit: 9) }, [1, 5, 9])
            try expect(try await store.read { try $0.orphanedQueues(after: 0, limit: 2) }, [1, 5])
            try expect(try await store.read { try $0.orphanedQueues(after: 5, limit: 2) }, [9])
            try expect(try await store.read { try $0.orphanedQueues(after: 9, limit: 2) }, [])
        },
        StoreClaim("Half-received messages are listed by packet identifier and replaced by it") { place in
            let store = try place.open()
            defer { store.close() }
            @Sendable func inbound(_ session: Int32, _ id: UInt16, _ body: String) -> InboundRecord {
                InboundRecord(session: session, packetID: id, body: ByteBuffer(string: body))
            }
            try await store.commit { transaction in
                for record in [inbound(1, 65_535, "z"), inbound(1, 1, "a"), inbound(1, 1, ""), inbound(2, 7, "b"), inbound(1, 5, "gone")] {
                    try transaction.putInbound(record)
                }
                try transaction.removeInbound(session: 1, packetID: 5)
                try transaction.removeInbound(session: 1, packetID: 6)
            }
            try expect(try await store.read { try $0.inboundPublications(of: 1) }, [inbound(1, 1, ""), inbound(1, 65_535, "z")])
            try expect(try await store.read { try $0.inboundPublications(of: 2) }, [inbound(2, 7, "b")])
        },
        StoreClaim("Retained messages are replaced and removed by topic, and their totals follow") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                try transaction.putRetained(Self.retained("a/b", "12345"))
                try transaction.putRetained(Self.retained("a/b", "1"))
                try transaction.putRetained(Self.retained("é", ""))
                try expect(try transaction.retainedTotals(), RetainedTotals(count: 2, bytes: 3 + 1 + 2))
            }
            try expect(try await store.read { try $0.retained(topic: "a/b") }, Self.retained("a/b", "1"))
            try expect(try await store.read { try $0.retainedTotals() }, RetainedTotals(count: 2, bytes: 6))
            try await store.commit { transaction in
                try transaction.removeRetained(topic: "a/b")
                try transaction.removeRetained(topic: "a/b")
                try transaction.removeRetained(topic: "e\u{301}")
            }
            try expect(try await store.read { try $0.retained(topic: "a/b") }, nil)
            try expect(try await store.read { try $0.retainedTotals() }, RetainedTotals(count: 1, bytes: 2))
        },
        StoreClaim("Retained messages are listed by prefix, bytewise, after a topic, within a count and a size") { place in
            let store = try place.open()
            defer { store.close() }
            let topics = ["a", "a/", "a/1", "a/2", "a0", "b", "é/1"]
            try await store.commit { transaction in for topic in topics { try transaction.putRetained(Self.retained(topic, "12345")) } }
            func listed(_ prefix: String, after: String = "", limit: Int = 99, bytes: Int = 9_999) async throws -> [String] {
                try await store.read { try $0.retained(prefix: prefix, after: after, limit: limit, bytes: bytes).map(\.topic) }
            }
            try expect(try await listed(""), ["a", "a/", "a/1", "a/2", "a0", "b", "é/1"])
            try expect(try await listed("a/"), ["a/", "a/1", "a/2"])
            try expect(try await listed("a/", after: "a/1"), ["a/2"])
            try expect(try await listed("a/", after: "a"), ["a/", "a/1", "a/2"])
            try expect(try await listed("a/", after: "b"), [])
            try expect(try await listed("", after: "a/2", limit: 2), ["a0", "b"])
            try expect(try await listed("", bytes: 12), ["a", "a/"])
            try expect(try await listed("", bytes: 1), ["a"])
            try expect(try await listed("", limit: 0), [])
            try expect(try await listed("é"), ["é/1"])
        },
        StoreClaim("Expired retained messages go, at most so many; those without an expiry stay") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                for (topic, expires) in [("never", 0), ("a", 10), ("b", 20), ("c", 21), ("d", UInt64.max)] {
                    try transaction.putRetained(Self.retained(topic, "x", expires: min(expires, UInt64(Int64.max))))
                }
            }
            try expect(try await store.commit { try $0.removeRetained(expiredAt: 9, limit: 9) }, 0)
            try expect(try await store.commit { try $0.removeRetained(expiredAt: 20, limit: 1) }, 1)
            try expect(try await store.read { try $0.retained(topic: "a") }, nil)
            try expect(try await store.commit { try $0.removeRetained(expiredAt: 20, limit: 9) }, 1)
            try expect(try await store.commit { try $0.removeRetained(expiredAt: 20, limit: 9) }, 0)
            try expect(try await store.read { try $0.retained(prefix: "", after: "", limit: 9, bytes: 999).map(\.topic) }, ["c", "d", "never"])
            try expect(try await store.read { try $0.retainedTotals() }, RetainedTotals(count: 3, bytes: 1 + 1 + 5 + 3))
        },
    ]

    private static func retained(_ topic: String, _ body: String, expires: UInt64 = 0) -> RetainedRecord {
        RetainedRecord(topic: topic, body: ByteBuffer(string: body), expiresMilliseconds: expires)
    }

    static func queued(_ session: Int32, _ seq: UInt64, _ body: QueuedBody = .inline(ByteBuffer(string: "body")), byteSum: Int64? = nil) -> QueueEntry {
        QueueEntry(session: session, seq: seq, flags: UInt8(truncatingIfNeeded: seq), byteSum: byteSum ?? Int64(seq) * 4, body: body)
    }
}
