import TOMLKit
import Yams
