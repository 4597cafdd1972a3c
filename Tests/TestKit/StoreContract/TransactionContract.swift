import Dispatch
import SkerryModel
import Store
import Synchronization

extension StoreContract {
    static let transactionClaims: [StoreClaim] = [
        StoreClaim("A transaction that throws leaves nothing behind") { place in
            let store = try place.open()
            defer { store.close() }
            struct Change: Error {}
            do {
                try await store.commit { transaction in
                    try transaction.put(Sample.userRecord(1))
                    try transaction.setMeta("name", [1])
                    throw Change()
                }
                throw ContractFailure("the transaction's error was lost")
            } catch is Change {}
            try expect(try await store.read { try $0.user(Sample.user(1)) }, nil)
            try expect(try await store.read { try $0.meta("name") }, nil)
        },
        StoreClaim("A failed write fails its transaction even when the error is swallowed") { place in
            let store = try place.open()
            defer { store.close() }
            try await expectFailure(.constraint) {
                try await store.commit { transaction in
                    let epoch = try transaction.registerEpoch(Sample.log())
                    try transaction.append([1], at: LocalPosition(epoch: epoch.number, seq: 1))
                    try? transaction.append([2], at: LocalPosition(epoch: epoch.number, seq: 5))
                    try transaction.setMeta("name", [1])
                }
            }
            try expect(try await store.read { try $0.meta("name") }, nil)
            try expect(try await store.read { try $0.epochs() }, [])
        },
        StoreClaim("After a failed transaction the next one works") { place in
            let store = try place.open()
            defer { store.close() }
            try await expectFailure(.constraint) {
                try await store.commit { try $0.append([1], at: LocalPosition(epoch: 9, seq: 1)) }
            }
            try await store.commit { try $0.setMeta("name", [2]) }
            try expect(try await store.read { try $0.meta("name") }, [2])
        },
        StoreClaim("A transaction reads what it wrote; a reader sees it only after the commit") { place in
            let store = try place.open()
            defer { store.close() }
            let (seenInside, seenBeside) = try await store.commit { transaction in
                try transaction.setMeta("name", [3])
                let beside = Mutex<[UInt8]??>(nil)
                let isRead = DispatchSemaphore(value: 0)
                store.read {
                    try $0.meta("name")
                } completion: { result in
                    beside.withLock { $0 = try? result.get() }
                    isRead.signal()
                }
                isRead.wait()
                return (try transaction.meta("name"), beside.withLock { $0 })
            }
            try expect(seenInside, [3])
            try expect(seenBeside == .some(.none), "the reader saw an open transaction, or nothing: \(String(describing: seenBeside))")
            try expect(try await store.read { try $0.meta("name") }, [3])
        },
        StoreClaim("A read sees one state from its first look to its end") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { try $0.setMeta("name", [1]) }
            let (before, after) = try await store.read { reader in
                let before = try reader.meta("name")
                let isWritten = DispatchSemaphore(value: 0)
                store.onWriter { writer in
                    try? writer.write { try $0.setMeta("name", [2]) }
                    isWritten.signal()
                }
                isWritten.wait()
                return (before, try reader.meta("name"))
            }
            try expect(before, [1])
            try expect(after, [1])
            try expect(try await store.read { try $0.meta("name") }, [2])
        },
        StoreClaim("The writer runs what it is given in order, one after the other") { place in
            let store = try place.open()
            defer { store.close() }
            let order = Mutex<[UInt8]>([])
            await withCheckedContinuation { continuation in
                for number in UInt8(0)..<50 {
                    store.onWriter { writer in
                        try? writer.write { transaction in
                            try transaction.setMeta("last", [number])
                            order.withLock { $0.append(number) }
                        }
                        if number == 49 { continuation.resume() }
                    }
                }
            }
            try expect(order.withLock { $0 }, Array(0..<50))
            try expect(try await store.read { try $0.meta("last") }, [49])
        },
        StoreClaim("What was committed is there after opening again") { place in
            var store = try place.open()
            try await store.commit { transaction in
                let epoch = try transaction.registerEpoch(Sample.log())
                try transaction.append([1, 2, 3], at: LocalPosition(epoch: epoch.number, seq: 1))
                try transaction.put(Sample.userRecord(1))
            }
            store.close()
            store = try place.open()
            defer { store.close() }
            try expect(try await store.read { try $0.user(Sample.user(1)) }, Sample.userRecord(1))
            try expect(try await store.read { try $0.entry(at: LocalPosition(epoch: 1, seq: 1)) }, [1, 2, 3])
            try expect(try await store.read { try $0.epochs() }, [EpochRecord(number: 1, log: Sample.log(), head: 1)])
        },
        StoreClaim("A closed store answers everything with `closed`, and closing twice is no harm") { place in
            let store = try place.open()
            store.close()
            store.close()
            try await expectFailure(.closed) { try await store.commit { try $0.setMeta("name", [1]) } }
            try await expectFailure(.closed) { try await store.read { try $0.meta("name") } }
        },
        StoreClaim("The store says how large it is, and grows") { place in
            let store = try place.open()
            defer { store.close() }
            let before = store.sizeBytes
            try await store.commit { transaction in
                let epoch = try transaction.registerEpoch(Sample.log())
                for seq in UInt64(1)...64 {
                    try transaction.append([UInt8](repeating: 1, count: 8_000), at: LocalPosition(epoch: epoch.number, seq: seq))
                }
            }
            try expect(store.sizeBytes >= before + 64 * 8_000, "half a megabyte was written, \(store.sizeBytes - before) bytes more are reported")
        },
    ]
}
