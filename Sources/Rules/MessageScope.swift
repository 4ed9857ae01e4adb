import CEL
package import Primitives

/// A message as the templates of a rule's actions see it.
package struct MessageScope: CELScope {
    private let message: Message
    package init(_ message: Message) { self.message = message }
    package func value(of name: String) -> Value? { message[attribute: name] }
}
