import SkerryModel
import Store

extension StoreContract {
    static let logClaims: [StoreClaim] = [
        StoreClaim("An epoch keeps the number it was given, from 1 in the order they came") { place in
            let store = try place.open()
            defer { store.close() }
            let logs = [Sample.log(.message, epoch: 5), Sample.log(.control, epoch: 5), Sample.log(.message, epoch: .max, box: Sample.box(9))]
            let numbers = try await store.commit { transaction in try (logs + logs).map { try transaction.registerEpoch($0) } }
            try expect(numbers.map(\.number), [1, 2, 3, 1, 2, 3])
            try expect(numbers.map(\.log), logs + logs)
            let again = try await store.commit { transaction in try logs.reversed().map { try transaction.registerEpoch($0).number } }
            try expect(again, [3, 2, 1])
            try expect(try await store.read { try $0.epochs().map(\.log) }, logs)
        },
        StoreClaim("Entries come back byte for byte, and move the head of their epoch") { place in
            let store = try place.open()
            defer { store.close() }
            let bytes = (0..<600).map { UInt8(truncatingIfNeeded: $0) }
            try await store.commit { transaction in
                let epoch = try transaction.registerEpoch(Sample.log())
                for seq in UInt64(1)...3 {
                    try transaction.append(bytes + [UInt8(seq)], at: LocalPosition(epoch: epoch.number, seq: seq))
                    try expect(try transaction.epochs().map(\.head), [seq])
                    try expect(try transaction.registerEpoch(Sample.log()).head, seq)
                }
            }
            try expect(try await store.read { try $0.epochs().map(\.head) }, [3])
            try expect(try await store.read { try $0.entry(at: LocalPosition(epoch: 1, seq: 2)) }, bytes + [2])
            for position in [LocalPosition(epoch: 1, seq: 4), LocalPosition(epoch: 2, seq: 1), LocalPosition(epoch: 1, seq: 0)] {
                try expect(try await store.read { try $0.entry(at: position) }, nil)
            }
        },
        StoreClaim("An entry that does not follow the head is refused: taken, ahead, or of no epoch") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                _ = try transaction.registerEpoch(Sample.log())
                try transaction.append([1], at: LocalPosition(epoch: 1, seq: 1))
            }
            for position in [
                LocalPosition(epoch: 1, seq: 1), LocalPosition(epoch: 1, seq: 3), LocalPosition(epoch: 2, seq: 1), LocalPosition(epoch: 1, seq: 0),
            ] {
                try await expectFailure(.constraint) { try await store.commit { try $0.append([2], at: position) } }
            }
            try expect(try await store.read { try $0.entry(at: LocalPosition(epoch: 1, seq: 1)) }, [1])
            try expect(try await store.read { try $0.epochs().map(\.head) }, [1])
        },
        StoreClaim("A scope's sequences come rising, of one epoch, after a place, as many as asked for") { place in
            let store = try place.open()
            defer { store.close() }
            let room = SyncScope.conversation(Sample.conversation(1))
            // The same sixteen bytes: only the form of the scope tells them apart.
            let person = SyncScope.user(Sample.user(1))
            try await store.commit { transaction in
                for log in [Sample.log(epoch: 1), Sample.log(epoch: 2)] {
                    let epoch = try transaction.registerEpoch(log)
                    for seq in UInt64(1)...6 {
                        let position = LocalPosition(epoch: epoch.number, seq: seq)
                        try transaction.append([UInt8(seq)], at: position)
                        try transaction.index(seq.isMultiple(of: 2) ? room : person, at: position)
                        try transaction.index(seq.isMultiple(of: 2) ? room : person, at: position)
                    }
                }
            }
            try expect(try await store.read { try $0.indexed(room, epoch: 1, after: 0, limit: 10) }, [2, 4, 6])
            try expect(try await store.read { try $0.indexed(person, epoch: 2, after: 1, limit: 10) }, [3, 5])
            try expect(try await store.read { try $0.indexed(room, epoch: 2, after: 2, limit: 1) }, [4])
            try expect(try await store.read { try $0.indexed(room, epoch: 1, after: 6, limit: 10) }, [])
            try expect(try await store.read { try $0.indexed(room, epoch: 1, after: .max, limit: 10) }, [])
            try expect(try await store.read { try $0.indexed(room, epoch: 3, after: 0, limit: 10) }, [])
            try expect(try await store.read { try $0.indexed(room, epoch: 1, after: 0, limit: 0) }, [])
        },
        StoreClaim("A named value is replaced, and names differ by every byte") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                try transaction.setMeta("hlc", [1])
                try transaction.setMeta("hlc", [])
                try transaction.setMeta("HLC", [9])
                try transaction.setMeta("\u{e9}", [1])
                try transaction.setMeta("e\u{301}", [2])
            }
            let found = try await store.read { reader in try ["hlc", "HLC", "\u{e9}", "e\u{301}", "none"].map { try reader.meta($0) } }
            try expect(found, [[], [9], [1], [2], nil])
        },
    ]
}
