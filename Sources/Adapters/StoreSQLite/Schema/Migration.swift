/// The tables, one literal a concern, each in its own file.
enum Schema {}

/// One step forward of the database's form. Steps are never changed once released, only followed by others; there is no way back but the
/// snapshot that was made before.
package struct Migration: Sendable {
    /// The `user_version` that the file has afterwards: 1, 2, 3 … without a gap.
    package let number: Int
    package let statements: [StaticString]

    package init(number: Int, statements: [StaticString]) {
        self.number = number
        self.statements = statements
    }

    package static let all: [Migration] = [
        Migration(number: 1, statements: [Schema.log, Schema.account, Schema.chat, Schema.broker]),
        Migration(number: 2, statements: [Schema.scram]),
        Migration(number: 3, statements: [Schema.access]),
        Migration(number: 4, statements: [Schema.federation]),
    ]
}
