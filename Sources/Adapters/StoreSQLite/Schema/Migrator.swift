import SkerryModel
import Store

/// Brings a database file to the form this version works with.
struct Migrator {
    /// "SKRY": tells Skerry's databases from others (`PRAGMA application_id`, shown by `file`).
    static let applicationID: Int64 = 0x534B_5259
    /// Snapshots kept beside the database.
    static let snapshotsMax = 2

    let connection: Connection
    let directory: DataDirectory
    let migrations: [Migration]

    /// Runs what is missing, each step in its own transaction and after a snapshot of what was there before.
    ///
    /// - Throws: `newer` for a file of a later version, `corrupt` for one that is not Skerry's.
    func migrate() throws(StoreError) {
        let version = try Self.version(of: self.connection, latest: self.migrations.last?.number ?? 0)
        for migration in self.migrations where migration.number > version {
            // A new database has nothing to keep, however many steps it takes.
            if version > 0 { try self.snapshot(before: migration.number) }
            try self.apply(migration)
        }
        try self.directory.removeSnapshots(keeping: Self.snapshotsMax)
    }

    /// The form of the database behind `connection`: 0 for an empty file.
    static func version(of connection: Connection, latest: Int) throws(StoreError) -> Int {
        let application = try connection.integer("PRAGMA application_id") ?? 0
        let version = Int(try connection.integer("PRAGMA user_version") ?? 0)
        let tables = try connection.integer("SELECT count(*) FROM sqlite_schema") ?? 0
        guard application == Self.applicationID || (application == 0 && version == 0 && tables == 0) else {
            throw StoreError(.corrupt, "\(DataDirectory.databaseName) is not a database of Skerry. Move it away, or choose another data directory.")
        }
        guard version <= latest else {
            throw StoreError(
                .newer, "The database has form \(version), made by a newer Skerry; this one knows up to \(latest). Install the newer version again.")
        }
        return version
    }

    private func apply(_ migration: Migration) throws(StoreError) {
        do {
            try self.connection.execute("BEGIN IMMEDIATE")
            for statement in migration.statements { try self.connection.execute(statement.description) }
            try self.connection.execute("PRAGMA application_id = \(Self.applicationID)")
            try self.connection.execute("PRAGMA user_version = \(migration.number)")
            try self.connection.execute("COMMIT")
        } catch {
            if !self.connection.isOutsideTransaction { try? self.connection.execute("ROLLBACK") }
            throw error
        }
    }

    /// A whole copy of the database, on the disk under its final name before the step begins.
    private func snapshot(before number: Int) throws(StoreError) {
        let partial = self.directory.snapshotPath(before: number, isPartial: true)
        try self.directory.remove(partial)
        let quoted = partial.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
        try self.connection.execute("VACUUM INTO '\(quoted)'")
        try self.directory.publish(partial, as: self.directory.snapshotPath(before: number, isPartial: false))
    }
}
