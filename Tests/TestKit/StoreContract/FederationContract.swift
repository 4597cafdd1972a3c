import NIOCore
import SkerryModel
import Store

extension StoreContract {
    static let federationClaims: [StoreClaim] = [
        StoreClaim("An epoch remembers its birth, that it is final, and how far others hold it") { place in
            var store = try place.open()
            try await store.commit { transaction in
                let epoch = try transaction.registerEpoch(Sample.log())
                try transaction.append([1], at: LocalPosition(epoch: epoch.number, seq: 1))
                try transaction.setBirth(HLC(rawValue: 1 << 60), of: epoch.number)
                try transaction.setFinal(epoch.number)
                try transaction.setReplicated(7, of: epoch.number)
                try transaction.setReplicated(5, of: epoch.number)
                _ = try transaction.registerEpoch(Sample.log(epoch: 8))
            }
            store.close()
            store = try place.open()
            defer { store.close() }
            let wanted = EpochRecord(number: 1, log: Sample.log(), head: 1, birth: HLC(rawValue: 1 << 60), isFinal: true, replicated: 7)
            try expect(try await store.read { try $0.epochs() }, [wanted, EpochRecord(number: 2, log: Sample.log(epoch: 8), head: 0)])
            try expect(try await store.read { try $0.epoch(Sample.log()) }, wanted)
            try expect(try await store.read { try $0.epoch(Sample.log(epoch: 9)) }, nil)
        },
        StoreClaim("A dropped entry's hash stands in its place, and the log goes on behind it") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                let epoch = try transaction.registerEpoch(Sample.log()).number
                try transaction.append([1, 1], at: LocalPosition(epoch: epoch, seq: 1))
                try transaction.append(dropped: [9, 9, 9], at: LocalPosition(epoch: epoch, seq: 2))
                try transaction.append([3], at: LocalPosition(epoch: epoch, seq: 3))
                try transaction.append([4], at: LocalPosition(epoch: epoch, seq: 4))
            }
            try await expectFailure(.constraint) { try await store.commit { try $0.append(dropped: [1], at: LocalPosition(epoch: 1, seq: 4)) } }
            try await store.commit { transaction in
                try transaction.drop(LocalPosition(epoch: 1, seq: 3), hash: [8])
                // Dropping what is not there, or a second time, changes nothing.
                try transaction.drop(LocalPosition(epoch: 1, seq: 3), hash: [7])
                try transaction.drop(LocalPosition(epoch: 1, seq: 9), hash: [7])
            }
            let items: [LogItem] = [
                LogItem(seq: 1, content: .entry([1, 1])), LogItem(seq: 2, content: .dropped(hash: [9, 9, 9])), LogItem(seq: 3, content: .dropped(hash: [8])),
                LogItem(seq: 4, content: .entry([4])),
            ]
            try expect(try await store.read { try $0.items(of: 1, from: 1, through: .max, limit: 10, bytes: 100) }, items)
            try expect(try await store.read { try $0.items(of: 1, from: 2, through: 3, limit: 10, bytes: 100) }, Array(items[1...2]))
            try expect(try await store.read { try $0.items(of: 1, from: 1, through: 9, limit: 2, bytes: 100) }, Array(items[..<2]))
            try expect(try await store.read { try $0.items(of: 1, from: 1, through: 9, limit: 9, bytes: 5) }, Array(items[..<2]))
            try expect(try await store.read { try $0.items(of: 1, from: 2, through: 9, limit: 9, bytes: 0) }, [items[1]])
            try expect(try await store.read { try $0.items(of: 1, from: 5, through: 9, limit: 9, bytes: 9) }, [])
            try expect(try await store.read { try $0.items(of: 2, from: 1, through: 9, limit: 9, bytes: 9) }, [])
            try expect(try await store.read { try $0.items(of: 1, from: 1, through: 9, limit: 0, bytes: 9) }, [])
            try expect(try await store.read { try $0.entry(at: LocalPosition(epoch: 1, seq: 3)) }, nil)
            try expect(try await store.read { try $0.epochs().map(\.head) }, [4])
        },
        StoreClaim("What is skipped is gone with its batches; the head rises to it when it was lower") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                let epoch = try transaction.registerEpoch(Sample.log()).number
                try transaction.skip(epoch, upTo: 3)
                try expect(try transaction.epochs().map(\.head), [3])
                for seq in UInt64(4)...9 { try transaction.append([UInt8(seq)], at: LocalPosition(epoch: epoch, seq: seq)) }
                try transaction.put(BatchRecord(epoch: epoch, firstSeq: 4, count: 2, signature: [4]))
                try transaction.put(BatchRecord(epoch: epoch, firstSeq: 6, count: 4, signature: [6]))
                _ = try transaction.registerEpoch(Sample.log(epoch: 8))
                try transaction.append([1], at: LocalPosition(epoch: 2, seq: 1))
            }
            try await store.commit { try $0.skip(1, upTo: 7) }
            try await store.commit { try $0.skip(1, upTo: 2) }
            try expect(try await store.read { try $0.epochs().map(\.head) }, [9, 1])
            try expect(try await store.read { try $0.epochs().map(\.lowWater) }, [7, 0])
            try expect(try await store.read { try $0.items(of: 1, from: 1, through: 99, limit: 99, bytes: 99) }.map(\.seq), [8, 9])
            try expect(try await store.read { try $0.batches(of: 1, covering: 4, limit: 9) }, [])
            try expect(try await store.read { try $0.batches(of: 1, covering: 8, limit: 9) }.map(\.firstSeq), [6])
            try expect(try await store.read { try $0.items(of: 2, from: 1, through: 1, limit: 1, bytes: 1) }.count, 1)
            try await expectFailure(.constraint) { try await store.commit { try $0.skip(7, upTo: 1) } }
            try await expectFailure(.constraint) { try await store.commit { try $0.skip(1, upTo: .max) } }
        },
        StoreClaim("Batches come from the one that covers a place on, without a gap, overlapping or not") { place in
            let store = try place.open()
            defer { store.close() }
            @Sendable func batch(_ first: UInt64, _ count: Int, _ signature: UInt8) -> BatchRecord {
                BatchRecord(epoch: 1, firstSeq: first, count: count, signature: [signature])
            }
            try await store.commit { transaction in
                for (epoch, last) in [UInt64(1): UInt64(268), 2: 1].sorted(by: { $0.key < $1.key }) {
                    let number = try transaction.registerEpoch(Sample.log(epoch: epoch)).number
                    for seq in 1...last { try transaction.append([1], at: LocalPosition(epoch: number, seq: seq)) }
                }
                for record in [batch(1, 5, 1), batch(6, 1, 2), batch(6, 3, 3), batch(6, 2, 4), batch(8, 4, 5), batch(9, 2, 6), batch(13, 256, 7)] {
                    try transaction.put(record)
                }
                try transaction.put(BatchRecord(epoch: 2, firstSeq: 1, count: 1, signature: [9]))
            }
            @Sendable func found(_ seq: UInt64, _ limit: Int = 9) async throws -> [UInt8] {
                try await store.read { try $0.batches(of: 1, covering: seq, limit: limit) }.map { $0.signature[0] }
            }
            try expect(try await found(1), [1, 3, 5])
            try expect(try await found(5), [1, 3, 5])
            try expect(try await found(8), [3, 5])
            try expect(try await found(9), [5])
            try expect(try await found(3, 2), [1, 3])
            try expect(try await found(12), [])
            try expect(try await found(268), [7])
            try expect(try await found(269), [])
            try expect(try await found(0), [])
            try expect(try await found(.max), [])
            try expect(try await found(1, 0), [])
        },
        StoreClaim("A member's row comes back with every field, and is replaced") { place in
            let store = try place.open()
            defer { store.close() }
            var entry = MemberEntry(
                box: Sample.box(3), name: "Küche", publicKey: [1, 2], logKey: [3], endpoints: ["10.0.0.1:8884", "[fe80::1]:8884"], isIssuer: true,
                version: .max, signature: [9, 8])
            let other = MemberRecord(
                entry: MemberEntry(box: Sample.box(1), name: "", publicKey: [], logKey: [], endpoints: [], version: 0), stamp: Sample.order(1))
            try await store.commit { [entry] transaction in
                try transaction.put(MemberRecord(entry: entry, stamp: Sample.order(1)))
                try transaction.put(other)
            }
            try expect(try await store.read { try $0.members() }, [other, MemberRecord(entry: entry, stamp: Sample.order(1))])
            entry.standing = .removed
            entry.reason = "lost"
            entry.cut = [Sample.log(.control, epoch: .max, box: Sample.box(3)): 5, Sample.log(.message, epoch: 2, box: Sample.box(3)): .max]
            try await store.commit { [entry] in try $0.put(MemberRecord(entry: entry, stamp: Sample.order(2))) }
            try expect(try await store.read { try $0.member(Sample.box(3)) }, MemberRecord(entry: entry, stamp: Sample.order(2)))
            try expect(try await store.read { try $0.member(Sample.box(9)) }, nil)
        },
        StoreClaim("Named values come by the beginning of their name, by rising name, and can be forgotten") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                for (name, value): (String, UInt8) in [("fed.b", 2), ("fed.", 0), ("fed", 9), ("feda", 9), ("fed.a", 1), ("ged.", 9)] {
                    try transaction.setMeta(name, [value])
                }
            }
            try expect(try await store.read { try $0.metas(prefix: "fed.").map(\.name) }, ["fed.", "fed.a", "fed.b"])
            try expect(try await store.read { try $0.metas(prefix: "fed.").map(\.value) }, [[0], [1], [2]])
            try await store.commit { transaction in
                try transaction.removeMeta("fed.a")
                try transaction.removeMeta("fed.z")
            }
            try expect(try await store.read { try $0.metas(prefix: "fed.").map(\.name) }, ["fed.", "fed.b"])
        },
        StoreClaim("A place can be taken out of a sync") { place in
            let store = try place.open()
            defer { store.close() }
            let scope = SyncScope.user(Sample.user(1))
            try await store.commit { transaction in
                _ = try transaction.registerEpoch(Sample.log())
                for seq in UInt64(1)...3 {
                    try transaction.append([1], at: LocalPosition(epoch: 1, seq: seq))
                    try transaction.index(scope, at: LocalPosition(epoch: 1, seq: seq))
                }
                try transaction.unindex(scope, at: LocalPosition(epoch: 1, seq: 2))
                try transaction.unindex(scope, at: LocalPosition(epoch: 1, seq: 9))
            }
            try expect(try await store.read { try $0.indexed(scope, epoch: 1, after: 0, limit: 9) }, [1, 3])
        },
        StoreClaim("A retained message has its stamp, and so has its clearing until it is forgotten") { place in
            let store = try place.open()
            defer { store.close() }
            @Sendable func record(_ topic: String, _ stamp: Int?, expires: UInt64 = 0) -> RetainedRecord {
                RetainedRecord(topic: topic, body: ByteBuffer(string: "body"), expiresMilliseconds: expires, stamp: stamp.map { Sample.order($0) })
            }
            @Sendable func stamp(_ topic: String) async throws -> Int? {
                try await store.read { try $0.retainedStamp(topic: topic) }.map { Int($0.hlc.milliseconds) }
            }
            try await store.commit { transaction in
                try transaction.putRetained(record("a", 5))
                try transaction.putRetained(record("b", nil))
                try transaction.putRetained(record("c", 7, expires: 100))
                try transaction.putRetained(record("d", 8))
                try transaction.clearRetained(topic: "d", stamp: Sample.order(9))
                try transaction.clearRetained(topic: "e", stamp: Sample.order(20))
            }
            try expect([try await stamp("a"), try await stamp("b"), try await stamp("c"), try await stamp("d"), try await stamp("e")], [5, nil, 7, 9, 20])
            try expect(try await store.read { try $0.retained(topic: "a") }, record("a", 5))
            try expect(try await store.read { try $0.retainedTotals().count }, 3)
            // What expires is remembered as cleared: an older entry that comes late must not bring back an older message.
            try await store.commit { try expect(try $0.removeRetained(expiredAt: 100, limit: 9), 1) }
            try expect(try await stamp("c"), 7)
            try expect(try await store.read { try $0.retained(topic: "c") }, nil)
            try await store.commit { transaction in
                try transaction.putRetained(record("d", 10))
                try transaction.removeRetained(topic: "a")
            }
            try expect([try await stamp("d"), try await stamp("a")], [10, nil])
            try await store.commit { try expect(try $0.forgetClearedRetained(before: 19, limit: 9), 1) }
            try expect([try await stamp("c"), try await stamp("d"), try await stamp("e")], [nil, 10, 20])
            try expect(try await store.read { try $0.retainedTotals().count }, 2)
        },
        StoreClaim("Namesakes are all whose entry gives them the name, whoever has it, oldest first") { place in
            let store = try place.open()
            defer { store.close() }
            var second = Sample.userRecord(2, name: "Ann")
            second.name = "Ann~x"
            second.nameKey = "ann~x"
            second.wantedName = "Ann"
            try await store.commit { [second] transaction in
                try transaction.put(second)
                try transaction.put(Sample.userRecord(1, name: "ann"))
                try transaction.put(Sample.userRecord(3, name: "bob"))
            }
            try expect(try await store.read { try $0.namesakes(nameKey: "ann") }, [Sample.userRecord(1, name: "ann"), second])
            try expect(try await store.read { try $0.namesakes(nameKey: "ann~x") }, [])
            try expect(try await store.read { try $0.user(nameKey: "ann~x") }, second)
            try expect(try await store.read { try $0.user(nameKey: "ann") }, Sample.userRecord(1, name: "ann"))
            try expect(try await store.read { try $0.users(prefix: "ann", after: "", limit: 9).map(\.name) }, ["ann", "Ann~x"])
        },
        StoreClaim("Each user's edit of a message is kept apart") { place in
            let store = try place.open()
            defer { store.close() }
            @Sendable func edit(_ user: Int, _ text: String) -> EditRecord {
                EditRecord(target: Sample.message(1), by: Sample.user(user), text: text, stamp: Sample.order(user))
            }
            try await store.commit { transaction in
                try transaction.put(edit(1, "one"))
                try transaction.put(edit(2, "two"))
                try transaction.put(edit(1, "three"))
            }
            try expect(try await store.read { try $0.edit(of: Sample.message(1), by: Sample.user(1)) }, edit(1, "three"))
            try expect(try await store.read { try $0.edit(of: Sample.message(1), by: Sample.user(2)) }, edit(2, "two"))
            try expect(try await store.read { try $0.edit(of: Sample.message(1), by: Sample.user(3)) }, nil)
            let change = (Sample.message(1), Sample.user(1), Sample.order(1))
            try await store.commit { transaction in
                try transaction.put(RecallRecord(target: change.0, by: change.1, stamp: change.2))
                try transaction.put(ReactionRecord(target: change.0, user: change.1, emoji: "x", isOn: true, stamp: change.2))
                try transaction.put(RecallRecord(target: Sample.message(2), by: change.1, stamp: change.2))
                try transaction.removeChanges(of: change.0)
            }
            try expect(try await store.read { try $0.edit(of: change.0, by: change.1) }, nil)
            try expect(try await store.read { try $0.recall(of: change.0) }, nil)
            try expect(try await store.read { try $0.reactions(to: change.0) }, [])
            try expect(try await store.read { try $0.recall(of: Sample.message(2)) } != nil, "another message's change is gone")
        },
    ]
}
