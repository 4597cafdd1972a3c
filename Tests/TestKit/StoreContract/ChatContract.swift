import SkerryModel
import Store

extension StoreContract {
    static let chatClaims: [StoreClaim] = [
        StoreClaim("A conversation is replaced by its next row") { place in
            let store = try place.open()
            defer { store.close() }
            var record = ConversationRecord(id: Sample.conversation(1), form: .group, title: "Boat\u{0}house", createdMilliseconds: 4, stamp: Sample.order(1))
            let first = record
            try await store.commit { try $0.put(first) }
            try expect(try await store.read { try $0.conversation(Sample.conversation(1)) }, first)
            record.title = ""
            record.form = .direct
            let second = record
            try await store.commit { try $0.put(second) }
            try expect(try await store.read { try $0.conversation(Sample.conversation(1)) }, second)
            try expect(try await store.read { try $0.conversation(Sample.conversation(2)) }, nil)
        },
        StoreClaim("Memberships: one row a pair, all states in a conversation, only members of a user") { place in
            let store = try place.open()
            defer { store.close() }
            let states: [MemberState] = [.invited, .member, .left, .kicked, .banned]
            try await store.commit { transaction in
                for (number, state) in states.enumerated().reversed() {
                    try transaction.put(Self.membership(1, user: number, state, since: number == 1 ? 5 : nil))
                }
                try transaction.put(Self.membership(3, user: 1, .member))
                try transaction.put(Self.membership(2, user: 1, .member))
                try transaction.put(Self.membership(2, user: 0, .member))
                try transaction.put(Self.membership(2, user: 0, .left))
            }
            try expect(try await store.read { try $0.memberships(in: Sample.conversation(1)).map(\.user) }, (0..<5).map(Sample.user))
            try expect(try await store.read { try $0.memberships(in: Sample.conversation(1)).map(\.state) }, states)
            try expect(try await store.read { try $0.memberships(of: Sample.user(1)).map(\.conversation) }, [1, 2, 3].map(Sample.conversation))
            try expect(try await store.read { try $0.memberships(of: Sample.user(0)) }, [])
            try expect(
                try await store.read { try $0.membership(Sample.conversation(1), Sample.user(1)) }, Self.membership(1, user: 1, .member, since: 5))
            try expect(try await store.read { try $0.membership(Sample.conversation(9), Sample.user(1)) }, nil)
        },
        StoreClaim("A message is found by id; its id and its place must be free") { place in
            let store = try place.open()
            defer { store.close() }
            let row = Self.row(1, at: 10)
            try await store.commit { try $0.insert(row) }
            try expect(try await store.read { try $0.message(Sample.message(1)) }, row)
            try expect(try await store.read { try $0.message(Sample.message(2)) }, nil)
            try await expectFailure(.constraint) { try await store.commit { try $0.insert(Self.row(1, at: 11)) } }
            try await expectFailure(.constraint) { try await store.commit { try $0.insert(Self.row(2, at: 10)) } }
            try await store.commit { try $0.insert(Self.row(2, in: 2, at: 10)) }
            try expect(try await store.read { try $0.messageCount() }, 2)
        },
        StoreClaim("A message is moved by removing and inserting it, in one transaction, and is counted once") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { try $0.insert(Self.row(1, at: 10)) }
            try await store.commit { transaction in
                try transaction.remove(Self.row(1, at: 10))
                try transaction.insert(Self.row(1, at: 5))
                try expect(try transaction.messageCount(), 1)
                try transaction.remove(Self.row(9, at: 99))
                try expect(try transaction.messageCount(), 1)
            }
            try expect(try await store.read { try $0.message(Sample.message(1))?.order }, Sample.order(5))
            try expect(try await store.read { try $0.history(Sample.conversation(1), since: nil, range: .newest, limit: 9).map(\.order) }, [Sample.order(5)])
            try expect(try await store.read { try $0.messageCount() }, 1)
        },
        StoreClaim("A message is marked changed in every view of it; marking what is not there is no error") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                try transaction.insert(Self.row(1, at: 10))
                try transaction.markChanged(Sample.message(1))
                try transaction.markChanged(Sample.message(1))
                try transaction.markChanged(Sample.message(2))
            }
            try expect(try await store.read { try $0.message(Sample.message(1))?.isChanged }, true)
            try expect(try await store.read { try $0.history(Sample.conversation(1), since: nil, range: .newest, limit: 1).map(\.isChanged) }, [true])
        },
        StoreClaim("History pages by order: the newest, before, after, and never older than `since`") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                // Not inserted by rising order, and with another conversation between.
                for number in [3, 1, 5, 2, 4] { try transaction.insert(Self.row(number, at: number * 10)) }
                try transaction.insert(Self.row(9, in: 2, at: 25))
            }
            func page(_ range: HistoryRange, since: Int? = nil, limit: Int = 10) async throws -> [Int] {
                try await store.read { reader in
                    try reader.history(Sample.conversation(1), since: since.map { Sample.order($0) }, range: range, limit: limit)
                        .map { Int($0.order.hlc.milliseconds) }
                }
            }
            try expect(try await page(.newest), [10, 20, 30, 40, 50])
            try expect(try await page(.newest, limit: 2), [40, 50])
            try expect(try await page(.newest, since: 30, limit: 9), [40, 50])
            try expect(try await page(.before(Sample.order(40)), limit: 2), [20, 30])
            try expect(try await page(.before(Sample.order(40)), since: 20, limit: 9), [30])
            try expect(try await page(.before(Sample.order(10))), [])
            try expect(try await page(.after(Sample.order(20)), limit: 2), [30, 40])
            try expect(try await page(.after(Sample.order(10)), since: 30), [40, 50])
            try expect(try await page(.after(Sample.order(50))), [])
            try expect(try await page(.after(Sample.order(25))), [30, 40, 50])
            try expect(try await page(.newest, limit: 0), [])
            try expect(try await store.read { try $0.newestOrder(Sample.conversation(1)) }, Sample.order(50))
            try expect(try await store.read { try $0.newestOrder(Sample.conversation(3)) }, nil)
        },
        StoreClaim("Unread are messages of others after an order, counted up to a limit") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                for number in 1...6 { try transaction.insert(Self.row(number, at: number * 10, from: number.isMultiple(of: 2) ? 1 : 2)) }
            }
            func unread(_ user: Int, after: Int?, limit: Int = 99) async throws -> Int {
                try await store.read { reader in
                    try reader.unreadCount(Sample.conversation(1), for: Sample.user(user), after: after.map { Sample.order($0) }, limit: limit)
                }
            }
            try expect(try await unread(1, after: nil), 3)
            try expect(try await unread(3, after: nil), 6)
            try expect(try await unread(3, after: nil, limit: 4), 4)
            try expect(try await unread(1, after: 10), 2)
            try expect(try await unread(2, after: 10), 3)
            try expect(try await unread(1, after: 60), 0)
        },
        StoreClaim("Edits, recalls and reactions: one row a key, reactions by rising stamp, emoji told apart by bytes") { place in
            let store = try place.open()
            defer { store.close() }
            let (target, other) = (Sample.message(1), Sample.message(2))
            @Sendable func reaction(_ user: Int, _ emoji: String, _ isOn: Bool, _ at: Int) -> ReactionRecord {
                ReactionRecord(target: target, user: Sample.user(user), emoji: emoji, isOn: isOn, stamp: Sample.order(at))
            }
            try await store.commit { transaction in
                try transaction.put(EditRecord(target: target, by: Sample.user(1), text: "one", stamp: Sample.order(1)))
                try transaction.put(EditRecord(target: target, by: Sample.user(2), text: "two", stamp: Sample.order(2)))
                try transaction.put(RecallRecord(target: target, by: Sample.user(1), stamp: Sample.order(3)))
                try transaction.put(RecallRecord(target: target, by: Sample.user(2), stamp: Sample.order(4)))
                try transaction.put(reaction(2, "👍", true, 9))
                try transaction.put(reaction(1, "👍", true, 7))
                try transaction.put(reaction(1, "\u{e9}", true, 8))
                try transaction.put(reaction(1, "e\u{301}", true, 6))
                try transaction.put(reaction(1, "👍", false, 10))
            }
            try expect(
                try await store.read { try $0.edit(of: target, by: Sample.user(2)) },
                EditRecord(target: target, by: Sample.user(2), text: "two", stamp: Sample.order(2)))
            try expect(try await store.read { try $0.recall(of: target) }, RecallRecord(target: target, by: Sample.user(2), stamp: Sample.order(4)))
            try expect(try await store.read { try $0.reactions(to: target).map { Int($0.stamp.hlc.milliseconds) } }, [6, 8, 9, 10])
            try expect(try await store.read { try $0.reactions(to: target).map(\.isOn) }, [true, true, true, false])
            try expect(try await store.read { try $0.edit(of: other, by: Sample.user(2)) }, nil)
            try expect(try await store.read { try $0.recall(of: other) }, nil)
            try expect(try await store.read { try $0.reactions(to: other) }, [])
        },
        StoreClaim("Receipts: one row a member, either end may be open") { place in
            let store = try place.open()
            defer { store.close() }
            @Sendable func receipt(_ user: Int, _ received: Int?, _ read: Int?) -> ReceiptRecord {
                ReceiptRecord(
                    conversation: Sample.conversation(1), user: Sample.user(user), received: received.map { Sample.order($0) },
                    read: read.map { Sample.order($0) })
            }
            try await store.commit { transaction in
                for row in [receipt(2, 5, nil), receipt(1, nil, 4), receipt(2, 6, 3)] { try transaction.put(row) }
            }
            try expect(try await store.read { try $0.receipts(in: Sample.conversation(1)) }, [receipt(1, nil, 4), receipt(2, 6, 3)])
            try expect(try await store.read { try $0.receipt(Sample.conversation(1), Sample.user(1)) }, receipt(1, nil, 4))
            try expect(try await store.read { try $0.receipt(Sample.conversation(1), Sample.user(3)) }, nil)
            try expect(try await store.read { try $0.receipts(in: Sample.conversation(2)) }, [])
        },
    ]

    private static func membership(_ conversation: Int, user: Int, _ state: MemberState, since: Int? = nil) -> MembershipRecord {
        MembershipRecord(
            conversation: Sample.conversation(conversation), user: Sample.user(user), state: state, role: user == 0 ? .owner : .admin,
            since: since.map { Sample.order($0) }, stamp: Sample.order(user + 1))
    }

    static func row(_ number: Int, in conversation: Int = 1, at milliseconds: Int, from sender: Int = 1) -> MessageRow {
        MessageRow(
            id: Sample.message(number), conversation: Sample.conversation(conversation), order: Sample.order(milliseconds), sender: Sample.user(sender),
            position: LocalPosition(epoch: 1, seq: UInt64(number)), isChanged: false)
    }
}
