package import Primitives
import Synchronization

/// Settings as whoever asks sees them; a few change while the node runs.
package final class ShownSettings: Sendable {
    private let shown: Mutex<Value>

    init(_ value: Value) { shown = Mutex(value) }

    package var value: Value { shown.withLock { $0 } }

    package func show(_ value: Value) { shown.withLock { $0 = value } }
}
