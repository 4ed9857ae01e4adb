/// How much a command asks for before it runs, whether it came of a key or was typed.
enum DangerTier: Sendable {
    case mild
    /// Asked for; `No` has the focus.
    case moderate
    /// The name must be typed.
    case severe

    private static let deletion: (DangerTier, String) = (
        .severe, "No message will start it any more; open runs go on with what they began with. A new catalog version results."
    )
    private static let application: (DangerTier, String) = (
        .moderate, "It comes into force at once, as a new catalog version; open runs go on with what they began with."
    )

    private static let known: [String: (tier: DangerTier, effect: String)] = [
        "rules delete": deletion, "workflows delete": deletion, "rules apply": application, "workflows apply": application,
        "runs cancel": (.moderate, "Attempts that run are ended, and no further task of the run begins."),
        "runs retry": (.moderate, "A new run begins with the same message; this one stays as it is."),
        "tasks resolve": (.moderate, "The run goes on as if the attempt had ended so. It cannot be taken back."),
    ]

    /// What a command asks for, and what it does to whatever it is about.
    ///
    /// - Parameter command: its words as in a shell, without `distric`.
    static func of(_ command: [String]) -> (tier: DangerTier, effect: String) {
        guard !command.contains("--help"), !command.contains("-h") else { return (.mild, "") }
        return known[command.filter { !$0.hasPrefix("-") }.prefix(2).joined(separator: " ")] ?? (.mild, "")
    }
}
