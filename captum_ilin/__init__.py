from captum_ilin.linearization import frozen, linearize
from captum_ilin.holding import hold
from captum_ilin.rules import DEFAULT_RULES, TANGENT_RULES
from captum_ilin.ruletable import RuleTable
