"""The agents' pages and acts: who calls, what each may do, who was held and by whom."""

from governor.control.agents.audit import AuditTrail
from governor.control.agents.routes import AgentRoutes

__all__ = ["AgentRoutes", "AuditTrail"]
