package import Primitives
import Synchronization
package import Text

/// Settings as whoever asks sees them, without the secrets in them; a few change while the node runs.
package final class ShownSettings: Sendable {
    private struct State {
        var rows: Value = .null
        var redaction = Redaction()

        mutating func show(_ rows: Value) { self.rows = redaction.settings(rows) }
    }

    private let state: Mutex<State>

    init(_ value: Value) {
        var state = State()
        state.show(value)
        self.state = Mutex(state)
    }

    package var value: Value { state.withLock { $0.rows } }

    /// Knows every secret that settings have had since the node began.
    package var redaction: Redaction { state.withLock { $0.redaction } }

    package func show(_ value: Value) { state.withLock { $0.show(value) } }
}
