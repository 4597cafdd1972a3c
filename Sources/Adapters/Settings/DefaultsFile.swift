extension Settings {
    /// The default file: every key with what it does, what it may be and its default, commented out. It is its own manual.
    package static func defaultsFile() -> String {
        let defaults = Settings()
        var text = """
            # Settings of Skerry. Every key is shown with its default; remove the '#' before a key to change it.
            # Lines are `key = value`; comments have a line of their own. An environment variable (SKERRY_HTTP_PORT for http.port)
            # wins over this file, and an option on the command line wins over both. A key or value that is wrong is refused at start.
            # What is marked "live" is taken while the box runs, by `skerry reload` or SIGHUP; everything else at the next start.

            """
        for declaration in Self.declarations {
            text += "\n"
            for line in Self.wrap(declaration.text, width: 116) { text += "# \(line)\n" }
            text += "# (\(declaration.form)\(declaration.isLive ? "; live" : ""))\n"
            let value = declaration.render(defaults)
            text += value.isEmpty ? "#\(declaration.key) =\n" : "#\(declaration.key) = \(value)\n"
        }
        for family in Self.families {
            text += "\n"
            for line in Self.wrap(family.text, width: 116) { text += "# \(line)\n" }
            for member in family.members {
                for (index, line) in Self.wrap("NAME.\(member.key): \(member.text)", width: 112).enumerated() {
                    text += "#   \(index == 0 ? "" : "  ")\(line)\n"
                }
                text += "#     (\(member.form)\(member.isLive ? "; live" : ""))\n"
            }
            for leaf in family.required { text += "#   \(family.prefix)NAME.\(leaf) = …\n" }
        }
        return text
    }

    /// What is in force, one line a key, with where it came from.
    package func summary() -> String {
        let entries = self.entries
        let width = entries.map(\.key.count).max() ?? 0
        return entries.map { entry in
            let padding = String(repeating: " ", count: width - entry.key.count)
            return "\(entry.key)\(padding) = \(entry.value)    (\(self.origins[entry.key] ?? .standard))\n"
        }.joined()
    }

    private static func wrap(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + word.count < width {
                lines[lines.count - 1] = last + " " + word
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
