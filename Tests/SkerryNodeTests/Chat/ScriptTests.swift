import TestKit
import Testing

@Suite("Conversations from the scripts")
struct ScriptTests {
    static let scripts: [ConversationScript] = {
        let folder = TestFile.beside(#filePath, "../Scripts")
        return TestFile.names(in: folder, suffix: ".script").compactMap { name in
            TestFile.text("\(folder)/\(name)").map { ConversationScript(name: name, text: $0) }
        }
    }()

    @Test("The scripts are found") func found() { #expect(Self.scripts.count >= 10) }

    @Test("Over memory", arguments: scripts)
    func memory(_ script: ConversationScript) async throws { try await script.play(on: BoxPlace(kind: .memory)) }

    @Test("Over SQLite", arguments: scripts)
    func sqlite(_ script: ConversationScript) async throws { try await script.play(on: BoxPlace(kind: .sqlite)) }
}
