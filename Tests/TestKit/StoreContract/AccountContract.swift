import SkerryModel
import Store

extension StoreContract {
    static let accountClaims: [StoreClaim] = [
        StoreClaim("A user is found by id and by name key, and a later row replaces it") { place in
            let store = try place.open()
            defer { store.close() }
            var user = Sample.userRecord(1, name: "Zoé", role: .admin)
            user.passwordHash = "scrypt$1$x"
            user.scramVerifier = "SCRAM-SHA-256$x"
            user.createdMilliseconds = 1 << 48
            let (first, changed) = (user, Self.changed(user))
            try await store.commit { try $0.put(first) }
            try expect(try await store.read { try $0.user(Sample.user(1)) }, first)
            try expect(try await store.read { try $0.user(nameKey: "zoé") }, first)
            try await store.commit { try $0.put(changed) }
            try expect(try await store.read { try $0.user(Sample.user(1)) }, changed)
            try expect(try await store.read { try $0.user(nameKey: "zoé") }, nil)
            try expect(try await store.read { try $0.user(nameKey: "zoe") }, changed)
            try expect(try await store.read { try $0.user(Sample.user(2)) }, nil)
            try expect(try await store.read { try $0.userCount() }, 1)
        },
        StoreClaim("Of two users with one name the one who was there first has it") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                for number in [3, 2, 4] { try transaction.put(Sample.userRecord(number, name: "twin")) }
            }
            try expect(try await store.read { try $0.user(nameKey: "twin")?.id }, Sample.user(2))
            try expect(try await store.read { try $0.userCount() }, 3)
        },
        StoreClaim("Users are listed by name key bytewise: by prefix, after a name, as many as asked for") { place in
            let store = try place.open()
            defer { store.close() }
            let names = ["bob", "alice", "bo", "bobby", "b%", "张三", "ärger", "carol"]
            try await store.commit { transaction in
                for (number, name) in names.enumerated() { try transaction.put(Sample.userRecord(number, name: name)) }
            }
            func listed(_ prefix: String, _ after: String, _ limit: Int) async throws -> [String] {
                try await store.read { try $0.users(prefix: prefix, after: after, limit: limit).map(\.nameKey) }
            }
            try expect(try await listed("", "", 100), ["alice", "b%", "bo", "bob", "bobby", "carol", "ärger", "张三"])
            try expect(try await listed("bo", "", 100), ["bo", "bob", "bobby"])
            try expect(try await listed("bo", "bo", 100), ["bob", "bobby"])
            try expect(try await listed("bo", "alice", 2), ["bo", "bob"])
            try expect(try await listed("bo", "carol", 2), [])
            try expect(try await listed("b%", "", 100), ["b%"])
            try expect(try await listed("张", "", 100), ["张三"])
            try expect(try await listed("x", "", 100), [])
            try expect(try await listed("", "", 0), [])
        },
        StoreClaim("A device is found by id and by token hash") { place in
            let store = try place.open()
            defer { store.close() }
            let device = Self.device(1, user: 1, created: 5, expires: 100)
            try await store.commit { try $0.put(device) }
            try expect(try await store.read { try $0.device(Sample.device(1)) }, device)
            try expect(try await store.read { try $0.device(tokenHash: device.tokenHash) }, device)
            try expect(try await store.read { try $0.device(tokenHash: [1]) }, nil)
            try expect(try await store.read { try $0.device(Sample.device(2)) }, nil)
        },
        StoreClaim("A user's devices are those neither revoked nor expired, oldest first") { place in
            let store = try place.open()
            defer { store.close() }
            var revoked = Self.device(4, user: 1, created: 1, expires: 100)
            revoked.isRevoked = true
            let gone = revoked
            try await store.commit { transaction in
                try transaction.put(Self.device(1, user: 1, created: 9, expires: 100))
                try transaction.put(Self.device(2, user: 1, created: 3, expires: .max))
                try transaction.put(Self.device(3, user: 1, created: 4, expires: 50))
                try transaction.put(gone)
                try transaction.put(Self.device(5, user: 2, created: 2, expires: 100))
            }
            func ids(_ now: UInt64) async throws -> [DeviceID] { try await store.read { try $0.devices(of: Sample.user(1), now: now).map(\.id) } }
            try expect(try await ids(49), [Sample.device(2), Sample.device(3), Sample.device(1)])
            try expect(try await ids(50), [Sample.device(2), Sample.device(1)])
            try expect(try await ids(100), [Sample.device(2)])
            try expect(try await store.read { try $0.device(Sample.device(4))?.isRevoked }, true)
        },
        StoreClaim("An invite of every purpose comes back as it was written, by id and by token hash") { place in
            let store = try place.open()
            defer { store.close() }
            let purposes: [InviteRecord.Purpose] = [.claim, .join(.user), .join(.admin), .reset(Sample.user(3))]
            for (number, purpose) in purposes.enumerated() {
                var invite = Self.invite(number, created: UInt64(number), expires: 9)
                invite.purpose = purpose
                invite.createdBy = number == 0 ? nil : Sample.user(number)
                let written = invite
                try await store.commit { try $0.put(written) }
                try expect(try await store.read { try $0.invite(Sample.invite(number)) }, written)
                try expect(try await store.read { try $0.invite(tokenHash: written.tokenHash) }, written)
            }
            try expect(try await store.read { try $0.invite(Sample.invite(77)) }, nil)
            try expect(try await store.read { try $0.invite(tokenHash: []) }, nil)
        },
        StoreClaim("Open invites are those not used up, revoked or expired, newest first") { place in
            let store = try place.open()
            defer { store.close() }
            var used = Self.invite(3, created: 3, expires: 100)
            used.used = used.uses
            var revoked = Self.invite(4, created: 4, expires: 100)
            revoked.isRevoked = true
            var half = Self.invite(5, created: 5, expires: 100)
            half.used = half.uses - 1
            let invites = [Self.invite(1, created: 1, expires: 100), Self.invite(2, created: 2, expires: 50), used, revoked, half]
            try await store.commit { transaction in for invite in invites { try transaction.put(invite) } }
            try expect(try await store.read { try $0.openInvites(now: 49).map(\.id) }, [5, 2, 1].map(Sample.invite))
            try expect(try await store.read { try $0.openInvites(now: 50).map(\.id) }, [5, 1].map(Sample.invite))
            try expect(try await store.read { try $0.openInvites(now: 100).map(\.id) }, [])
        },
        StoreClaim("A block holds one way, is taken back, and keeps its stamp") { place in
            let store = try place.open()
            defer { store.close() }
            @Sendable func block(_ owner: Int, _ target: Int, _ isOn: Bool, _ at: Int) -> BlockRecord {
                BlockRecord(owner: Sample.user(owner), target: Sample.user(target), isOn: isOn, stamp: Sample.order(at))
            }
            let rows = [block(1, 2, true, 1), block(1, 3, true, 2), block(2, 3, true, 3), block(1, 3, false, 4)]
            try await store.commit { transaction in for row in rows { try transaction.put(row) } }
            let isBlocked = try await store.read { reader in
                try [(2, 1), (1, 2), (3, 1), (3, 2)].map { try reader.isBlocked(Sample.user($0.0), by: Sample.user($0.1)) }
            }
            try expect(isBlocked, [true, false, false, true])
            try expect(try await store.read { try $0.blocks(of: Sample.user(1)) }, [Sample.user(2)])
            try expect(try await store.read { try $0.blocks(of: Sample.user(3)) }, [])
            try expect(try await store.read { try $0.block(owner: Sample.user(1), target: Sample.user(3)) }, block(1, 3, false, 4))
            try expect(try await store.read { try $0.block(owner: Sample.user(3), target: Sample.user(1)) }, nil)
        },
        StoreClaim("An access rule of every kind comes back as it was written, and a later row replaces it") { place in
            let store = try place.open()
            let subjects: [AccessSubject] = [.user(Sample.user(7))] + AccessRole.allCases.map { .role($0) }
            var rules: [AccessRuleRecord] = []
            for subject in subjects {
                for verb in AccessVerb.allCases {
                    for effect in AccessEffect.allCases {
                        var rule = Self.rule(rules.count, created: UInt64(rules.count))
                        (rule.subject, rule.verb, rule.effect) = (subject, verb, effect)
                        rule.createdBy = rules.count % 2 == 0 ? nil : Sample.user(rules.count)
                        rules.append(rule)
                    }
                }
            }
            let written = rules
            try await store.commit { transaction in for rule in written { try transaction.put(rule) } }
            store.close()
            let again = try place.open()
            defer { again.close() }
            try expect(try await again.read { try $0.accessRules() }, written)
            for rule in written { try expect(try await again.read { try $0.accessRule(rule.id) }, rule) }
            try expect(try await again.read { try $0.accessRule(Sample.accessRule(999)) }, nil)
            var changed = written[3]
            (changed.filter, changed.stamp) = ("别的/%c/#", Sample.order(500))
            let replacement = changed
            try await again.commit { try $0.put(replacement) }
            try expect(try await again.read { try $0.accessRule(replacement.id) }, replacement)
            try expect(try await again.read { try $0.accessRules().count }, written.count)
        },
        StoreClaim("The access rules that hold are listed oldest first; one that was taken back is kept but not listed") { place in
            let store = try place.open()
            defer { store.close() }
            var removed = Self.rule(4, created: 1)
            removed.isRemoved = true
            let gone = removed
            try expect(try await store.read { try $0.accessRules() }, [])
            try await store.commit { transaction in
                for rule in [Self.rule(3, created: 9), gone, Self.rule(2, created: 5), Self.rule(1, created: 9)] { try transaction.put(rule) }
            }
            try expect(try await store.read { try $0.accessRules().map(\.id) }, [2, 1, 3].map(Sample.accessRule))
            try expect(try await store.read { try $0.accessRule(Sample.accessRule(4)) }, gone)
        },
    ]

    private static func rule(_ number: Int, created: UInt64) -> AccessRuleRecord {
        AccessRuleRecord(
            id: Sample.accessRule(number), subject: .role(.user), verb: .all, filter: "a/%u/#", effect: .deny, createdBy: nil,
            createdMilliseconds: created, isRemoved: false, stamp: Sample.order(number))
    }

    private static func changed(_ user: UserRecord) -> UserRecord {
        var user = user
        user.name = "Zoe"
        user.nameKey = "zoe"
        user.display = ""
        user.role = .user
        user.isLocked = true
        user.passwordHash = ""
        user.scramVerifier = ""
        user.stamp = Sample.order(99)
        return user
    }

    private static func device(_ number: Int, user: Int, created: UInt64, expires: UInt64) -> DeviceRecord {
        DeviceRecord(
            id: Sample.device(number), user: Sample.user(user), tokenHash: Array(repeating: UInt8(number), count: 32), name: "phone",
            createdMilliseconds: created, expiresMilliseconds: min(expires, UInt64(Int64.max)), isRevoked: false, stamp: Sample.order(number))
    }

    private static func invite(_ number: Int, created: UInt64, expires: UInt64) -> InviteRecord {
        InviteRecord(
            id: Sample.invite(number), tokenHash: Array(repeating: UInt8(number), count: 32), purpose: .join(.user), uses: 3, used: 0, createdBy: nil,
            createdMilliseconds: created, expiresMilliseconds: expires, isRevoked: false, stamp: Sample.order(number))
    }
}
