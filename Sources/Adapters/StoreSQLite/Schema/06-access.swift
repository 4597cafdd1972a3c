extension Schema {
    static let access: StaticString = """
        -- Who may publish and subscribe what: `user` or `role` (0 = users, 1 = administrators, 2 = clients without an account), the other is NULL.
        -- `verb` 1 = publish, 2 = subscribe, 3 = both. A rule that was taken back stays with is_removed = 1, so that an older entry cannot bring
        -- it back. There are few: all that hold are in memory while the box runs.
        CREATE TABLE access_rule (
          id         BLOB NOT NULL PRIMARY KEY,
          user       BLOB,
          role       INTEGER,
          verb       INTEGER NOT NULL,
          filter     TEXT NOT NULL,
          is_allow   INTEGER NOT NULL,
          created_by BLOB,
          created_ms INTEGER NOT NULL,
          is_removed INTEGER NOT NULL,
          stamp      BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX access_rule_created ON access_rule (created_ms, id) WHERE is_removed = 0;
        """
}
