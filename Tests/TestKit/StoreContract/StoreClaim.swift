package import Store

/// One promise of the store contract, as something that can be tried on any implementation.
package struct StoreClaim: Sendable, CustomStringConvertible {
    package let description: String
    package let run: @Sendable (any StorePlace) async throws -> Void

    init(_ description: String, _ run: @escaping @Sendable (any StorePlace) async throws -> Void) {
        self.description = description
        self.run = run
    }
}

/// Where one store is kept: opened, it holds what was committed there before.
package protocol StorePlace: Sendable {
    func open() throws -> any Store
}

/// The whole contract: the same claims for memory, for SQLite on a disk and for whatever comes after.
package enum StoreContract {
    package static let claims: [StoreClaim] =
        Self.transactionClaims + Self.logClaims + Self.federationClaims + Self.accountClaims + Self.chatClaims + Self.brokerClaims + Self.queueClaims
}

/// A promise of the contract that an implementation broke.
package struct ContractFailure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Fails the claim unless the two are equal.
func expect<Value: Equatable>(_ found: Value, _ wanted: Value, _ what: String = "", file: String = #fileID, line: Int = #line) throws {
    guard found == wanted else { throw ContractFailure("\(file):\(line): \(what) found \(found), wanted \(wanted)") }
}

func expect(_ condition: Bool, _ what: String, file: String = #fileID, line: Int = #line) throws {
    guard condition else { throw ContractFailure("\(file):\(line): \(what)") }
}

/// Fails the claim unless `body` fails with a store error of that reason.
func expectFailure<Value>(
    _ reason: StoreError.Reason, _ body: () async throws -> Value, file: String = #fileID, line: Int = #line
) async throws {
    do {
        _ = try await body()
    } catch let error as StoreError {
        return try expect(error.reason, reason, "another failure:", file: file, line: line)
    }
    throw ContractFailure("\(file):\(line): it succeeded, wanted the failure \(reason)")
}
