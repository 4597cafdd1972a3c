import NIOCore
import SkerryModel
import Store
import StoreSQLite
import TestKit
import Testing

@Suite("Migrations")
struct MigrationTests {
    /// The form of a new database.
    static let latest = Migration.all.count
    static let second = Migration(number: latest + 1, statements: ["CREATE TABLE two (x INTEGER) STRICT; INSERT INTO two VALUES (2);"])
    static let third = Migration(number: latest + 2, statements: ["CREATE TABLE three (x INTEGER) STRICT"])
    static let fourth = Migration(number: latest + 3, statements: ["CREATE TABLE four (x INTEGER) STRICT"])
    static let broken = Migration(number: latest + 1, statements: ["CREATE TABLE two (x INTEGER) STRICT", "INSERT INTO nowhere VALUES (1)"])

    /// The name of the copy made before the step that many after the latest.
    private static func snapshot(_ step: Int) -> String {
        let digits = String(Self.latest + step)
        return "skerry.db.before-" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    private func open(_ directory: TemporaryDirectory, _ more: [Migration] = []) throws -> any Store {
        try SQLitePlace(directory: directory, migrations: Migration.all + more).open()
    }

    private func database(_ directory: TemporaryDirectory) throws -> RawDatabase { try RawDatabase("\(directory.path)/skerry.db") }
    private func snapshots(_ directory: TemporaryDirectory) -> [String] { directory.contents().filter { $0.contains(".before-") } }

    @Test("A new database needs no snapshot and has the latest form")
    func new() throws {
        let directory = TemporaryDirectory()
        try self.open(directory).close()
        #expect(self.snapshots(directory) == [])
        #expect(try self.database(directory).column("PRAGMA user_version") == ["\(Self.latest)"])
        #expect(try self.database(directory).column("PRAGMA application_id") == ["\(0x534B_5259)"])
        #expect(try self.database(directory).column("PRAGMA journal_mode") == ["wal"])
    }

    @Test("The form for federations finds when each epoch began, and keeps edits and retained messages")
    func federation() async throws {
        let directory = TemporaryDirectory()
        try SQLitePlace(directory: directory, migrations: Array(Migration.all.prefix(3))).open().close()
        // Type 16, stamp 0x0102030405060708, the lowest byte first; then an entry that is none, one cut off, and an epoch without entries.
        try self.database(directory).execute(
            """
            INSERT INTO epoch (number, origin, stream, epoch, head) VALUES (1, x'00010203040506070801', 2, 7, 1), (2, x'00010203040506070801', 2, 8, 1),
              (3, x'00010203040506070801', 2, 9, 1), (4, x'00010203040506070801', 1, 9, 0);
            INSERT INTO entry (pos, raw) VALUES (1 << 40 | 1, x'0810110807060504030201AABB'), (2 << 40 | 1, x'0810'),
              (3 << 40 | 1, x'081011FFFFFFFFFFFFFFFF');
            INSERT INTO message_edit (mid, by_user, text, stamp)
              SELECT x'00000000000000A00000000000000001', x'00000000000000A00000000000000002', 'new', zeroblob(34);
            INSERT INTO retained (topic, body, expires_ms) VALUES ('a', x'01', 0);
            UPDATE total SET value = 1 WHERE name = 'retained';
            UPDATE total SET value = 2 WHERE name = 'retained_bytes';
            """)
        let store = try self.open(directory)
        defer { store.close() }
        #expect(try await store.read { try $0.epochs().map(\.birth.rawValue) } == [0x0102_0304_0506_0708, 0, 0, 0])
        #expect(try await store.read { try $0.edit(of: Sample.message(1), by: Sample.user(2))?.text } == "new")
        #expect(try await store.read { try $0.retained(topic: "a")?.stamp } == nil)
        #expect(try await store.read { try $0.retainedStamp(topic: "a") } == nil)
        #expect(try StoreCheck.problems(directory: directory.path) == [])
    }

    @Test("Each step goes forward once, after a snapshot that holds what was there; the two newest are kept")
    func steps() async throws {
        let directory = TemporaryDirectory()
        var store = try self.open(directory)
        try await store.commit { try $0.put(Sample.userRecord(1)) }
        store.close()

        store = try self.open(directory, [Self.second])
        #expect(try await store.read { try $0.user(Sample.user(1)) } == Sample.userRecord(1))
        try await store.commit { try $0.put(Sample.userRecord(2)) }
        store.close()
        #expect(self.snapshots(directory) == [Self.snapshot(1)])
        let snapshot = try RawDatabase("\(directory.path)/\(Self.snapshot(1))")
        #expect(try snapshot.column("SELECT count(*) FROM user") == ["1"])
        #expect(try snapshot.column("PRAGMA user_version") == ["\(Self.latest)"])
        #expect(try snapshot.column("PRAGMA integrity_check") == ["ok"])

        try self.open(directory, [Self.second]).close()
        #expect(try self.database(directory).column("SELECT x FROM two") == ["2"])
        #expect(self.snapshots(directory) == [Self.snapshot(1)])

        try self.open(directory, [Self.second, Self.third, Self.fourth]).close()
        #expect(self.snapshots(directory) == [Self.snapshot(2), Self.snapshot(3)])
        #expect(try self.database(directory).column("PRAGMA user_version") == ["\(Self.latest + 3)"])
        #expect(try self.database(directory).column("SELECT count(*) FROM user") == ["2"])
    }

    @Test("A step that fails leaves the database as it was, and can be tried again")
    func failing() async throws {
        let directory = TemporaryDirectory()
        let store = try self.open(directory)
        try await store.commit { try $0.put(Sample.userRecord(1)) }
        store.close()
        #expect(throws: StoreError.self) { try self.open(directory, [Self.broken]) }
        #expect(try self.database(directory).column("PRAGMA user_version") == ["\(Self.latest)"])
        #expect(try self.database(directory).column("SELECT count(*) FROM sqlite_schema WHERE name = 'two'") == ["0"])
        let repaired = try self.open(directory, [Self.second])
        defer { repaired.close() }
        #expect(try await repaired.read { try $0.user(Sample.user(1)) } == Sample.userRecord(1))
    }

    @Test("A database of a newer version is refused and not touched")
    func newer() throws {
        let directory = TemporaryDirectory()
        try self.open(directory, [Self.second]).close()
        let error = #expect(throws: StoreError.self) { try self.open(directory) }
        #expect(error?.reason == .newer)
        #expect(try self.database(directory).column("PRAGMA user_version") == ["\(Self.latest + 1)"])
    }

    @Test("A database that is not Skerry's is refused and not touched")
    func foreign() throws {
        let directory = TemporaryDirectory()
        try self.database(directory).execute("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        let error = #expect(throws: StoreError.self) { try self.open(directory) }
        #expect(error?.reason == .corrupt)
        #expect(try self.database(directory).column("SELECT count(*) FROM sqlite_schema") == ["1"])
    }

    @Test("A file that is no database is refused as damaged")
    func noDatabase() throws {
        let directory = TemporaryDirectory()
        #expect(TestFile.write(String(repeating: "not a database at all\n", count: 500), to: "\(directory.path)/skerry.db"))
        let error = #expect(throws: StoreError.self) { try self.open(directory) }
        #expect(error?.reason == .corrupt)
    }

    @Test("A directory's name may hold quotes")
    func quotes() throws {
        let parent = TemporaryDirectory()
        let path = "\(parent.path)/it's \"mine\"; --"
        func open(_ migrations: [Migration]) throws { try SQLiteStore(directory: path, limits: Limits(), readers: 1, migrations: migrations, vfs: nil).close() }
        try open(Migration.all)
        try open(Migration.all + [Self.second])
        #expect(try RawDatabase("\(path)/\(Self.snapshot(1))").column("PRAGMA user_version") == ["\(Self.latest)"])
    }

    @Test("A database of form 1, made from its published text, comes to the form of a new one and keeps its rows", .timeLimit(.minutes(1)))
    func golden() async throws {
        let path = TestFile.beside(#filePath, "Golden/version-1.sql")
        let new = TemporaryDirectory()
        try self.open(new).close()
        let fresh = try self.database(new).schema()
        let text = try #require(TestFile.text(path), "Golden/version-1.sql is missing")

        let old = TemporaryDirectory()
        try self.database(old).execute(text)
        let store = try self.open(old)
        defer { store.close() }
        #expect(try self.database(old).schema() == fresh)
        #expect(try await store.read { try $0.user(nameKey: "ann")?.display } == "Ann")
        #expect(try await store.read { try $0.user(nameKey: "ann")?.scramVerifier } == "")
        #expect(try await store.read { try $0.epochs().map(\.head) } == [1])
        #expect(try await store.read { try $0.entry(at: LocalPosition(epoch: 1, seq: 1)) } == [8, 16])
        #expect(try await store.read { try $0.messageCount() } == 1)
        #expect(try await store.read { try $0.retained(topic: "a/b")?.body.readableBytes } == 2)
        #expect(try StoreCheck.problems(directory: old.path) == [])
    }
}
