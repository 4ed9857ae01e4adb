import Foundation

/// Removes a folder with all that is in it; what cannot be removed stays.
func removeTree(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
