package import Primitives

/// What can be done to a member of a demo.
package enum DemoAct: String, CaseIterable, Sendable {
    /// Ends it as a crash would: nothing is handed over, written or said any more.
    case kill
    /// Begins it again; one that runs is killed first.
    case restart
    /// Its loops stand still, and it answers nobody but whoever reads what it knew.
    case pause
    case resume
}

/// Why something was not done to a member of a demo.
package enum DemoRefusal: Error, Equatable {
    case unknown(String, members: [String])
    /// A sentence that says what to do instead.
    case refused(String)
}

/// A cluster that runs in one process, as its front doors see it: whichever member is asked, it is the demo that answers.
package protocol DemoControl: Sendable {
    /// Its members, and what became of the messages that it sends.
    var value: Value { get }
    /// Begins it, and returns the member as it is from now on; it may be the very one that was asked.
    ///
    /// - Parameter member: an id, or `leader`.
    func begin(_ act: DemoAct, _ member: String) throws(DemoRefusal) -> Value
}
