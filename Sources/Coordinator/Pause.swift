import Glibc

/// Lets a thread that is nobody's event loop rest.
func pause(milliseconds: Int) {
    guard milliseconds > 0 else { return }
    usleep(UInt32(milliseconds) * 1000)
}
