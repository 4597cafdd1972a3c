package import Store

extension Store {
    /// One transaction on the writer's thread, waited for.
    package func commit<Value: Sendable>(_ body: @escaping @Sendable (any StoreTransaction) throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            self.onWriter { writer in
                var value: Value?
                do {
                    try writer.write { value = try body($0) }
                    guard let value else { throw ContractFailure("write returned without running its body") }
                    continuation.resume(returning: value)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}
