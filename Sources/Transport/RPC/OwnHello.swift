import Synchronization
package import Wire

/// What this node says of itself when a connection begins. A `Hello` is one that stays as it is.
package protocol HelloSource: Sendable {
    var current: Hello { get }
}

extension Hello: HelloSource {
    package var current: Hello { self }
}

/// A hello that changes while the node runs: it learns its cluster, and its own address, after it has begun to listen. Each connection says
/// what is known when it begins.
package final class OwnHello: HelloSource {
    private let hello: Mutex<Hello>

    package init(_ hello: Hello) { self.hello = Mutex(hello) }

    package var current: Hello { hello.withLock { $0 } }

    package func change(_ body: (inout Hello) -> Void) { hello.withLock { body(&$0) } }
}
