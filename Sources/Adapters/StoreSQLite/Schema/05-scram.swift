extension Schema {
    static let scram: StaticString = """
        -- What SCRAM-SHA-256 needs of a user's password, as text; empty when there is none.
        ALTER TABLE user ADD COLUMN scram TEXT NOT NULL DEFAULT '';
        """
}
