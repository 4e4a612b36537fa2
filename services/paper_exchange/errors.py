"""Binance's error codes: official message and HTTP status. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "Error Code" and "General Info".
"""

MESSAGES = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1002: "You are not authorized to execute this request.",
    -1003: "Too many requests; current limit is {} requests per minute. "
    "Please use the websocket for live updates to avoid polling the API.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Request throttled by system-level protection. "
    "Reduce-only/close-position orders are exempt. Please try again.",
    -1010: "ERROR_MSG_RECEIVED.",
    -1013: "INVALID_MESSAGE.",
    -1015: "Too many new orders; current limit is {} orders per {}.",
    -1016: "This service is no longer available.",
    -1020: "This operation is not supported.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1099: "Not found, unauthenticated, or unauthorized.",
    -1100: "Illegal characters found in parameter '{}'; legal range is '{}'.",
    -1101: "Too many parameters sent for this endpoint.",
    -1102: "Mandatory parameter '{}' was not sent, was empty/null, or malformed.",
    -1103: "An unknown parameter was sent.",
    -1104: "Not all sent parameters were read.",
    -1105: "A parameter was empty.",
    -1106: "Parameter '{}' sent when not required.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1114: "TimeInForce parameter sent when not required.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1121: "Invalid symbol.",
    -1122: "Invalid symbol status.",
    -1125: "This listenKey does not exist.",
    -1127: "More than 24 hours between startTime and endTime.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for parameter '{}' is not valid.",
    -1134: "`strategyType` was less than 1000000.",
    -1136: "Invalid newOrderRespType.",
    -1145: "Invalid cancelRestrictions",
    -1151: "Symbol is present multiple times in the list.",
    -1158: "Order type not supported in OCO.",
    -1165: "A limit order in a buy OCO must be below.",
    -1166: "A limit order in a sell OCO must be above.",
    -1168: "At least one OCO order must be contingent.",
    -1191: "Too many subscriptions. Connection may create up to '{}' subscriptions at a time.",
    -1196: "A stop loss order in a buy OCO must be above.",
    -1197: "A stop loss order in a sell OCO must be below.",
    -1198: "A take profit order in a buy OCO must be below.",
    -1199: "A take profit order in a sell OCO must be above.",
    -2010: "NEW_ORDER_REJECTED",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2017: "API Keys are locked on this account.",
    -2018: "Balance is insufficient.",
    -2019: "Margin is insufficient.",
    -2020: "Unable to fill.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2023: "User in liquidation mode now.",
    -2024: "Position is not sufficient.",
    -2025: "Reach max open order limit.",
    -2026: "This OrderType is not supported when reduceOnly.",
    -2027: "Exceeded the maximum allowable position at current leverage.",
    -2028: "Leverage is smaller than permitted: insufficient margin balance.",
    -2035: "User Data Stream subscription already active.",
    -2036: "User Data Stream subscription not active.",
    -2039: "Client order ID is not correct for this order ID.",
    -2042: "Maximum subscription ID reached for this connection.",
    -4002: "Price greater than max price.",
    -4003: "Quantity less than zero.",
    -4004: "Quantity less than min quantity.",
    -4005: "Quantity greater than max quantity.",
    -4006: "Stop price less than zero.",
    -4007: "Stop price greater than max price.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id is not valid.",
    -4016: "Price is higher than mark price multiplier cap. Limit price can't be higher than {}.",
    -4023: "Qty not increased by step size.",
    -4024: "Price is lower than mark price multiplier floor. Limit price can't be lower than {}.",
    -4028: "Leverage {} is not valid.",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4050: "Cross balance insufficient.",
    -4051: "Isolated balance insufficient.",
    -4049: "Add margin only support for isolated position.",
    -4054: "Cannot add position margin: position is 0.",
    -4055: "Amount must be positive.",
    -4059: "No need to change position side.",
    -4060: "Invalid position side.",
    -4061: "Order's position side does not match user's setting.",
    -4062: "Invalid or improper reduceOnly value.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4087: "User can only place reduce only order.",
    -4088: "User can not place order currently.",
    -4105: "Symbol is under position risk control, only reduce-only order is allowed.",
    -4106: "Symbol is under position risk control, buy order can only works with reduce-only.",
    -4107: "Symbol is under position risk control, sell order can only works with reduce-only.",
    -4109: "This account is inactive. "
    "Please activate the account by transferring any amount of assets into the account.",
    -4116: "ClientOrderId is duplicated.",
    -4117: "stop order is triggering.",
    -4118: "ReduceOnly Order Failed. Please check your existing position and open orders.",
    -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    -4130: "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    -4136: "Target strategy invalid for orderType {}, closePosition true.",
    -4137: "Quantity must be zero with closePosition equals true.",
    -4138: "Reduce only must be true with closePosition equals true.",
    -4140: "Invalid symbol status for opening position.",
    -4141: "Symbol is closed.",
    -4142: "REJECT: take profit or stop order will be triggered immediately.",
    -4161: "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
    -4164: "Order's notional must be no smaller than {} (unless you choose reduce only).",
    -4167: "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under isolated-margin mode.",
    -4168: "Unable to adjust to isolated-margin mode under the Multi-Assets mode.",
    -4169: "Unable to adjust Multi-Assets Mode with insufficient margin balance in USDⓈ-M Futures.",
    -4170: "Unable to adjust Multi-Assets Mode with open orders in USDⓈ-M Futures.",
    -4171: "Adjusted asset mode is currently set and does not need to be adjusted repeatedly.",
    -4172: "Unable to adjust Multi-Assets Mode with a negative wallet balance of margin available asset in "
    "USDⓈ-M Futures account.",
    -4183: "Price is higher than stop price multiplier cap. Limit price can't be higher than {}.",
    -4184: "Price is lower than stop price multiplier floor. Limit price can't be lower than {}.",
    -4189: "Restricted account permission: can only place reduceOnly order on the symbol.",
    -4192: "Trade forbidden due to Cooling-off Period.",
    -4202: "Intermediate Personal Verification is required for adjusting leverage over 20x.",
    -4203: "More than 20x leverage is available one month after account registration.",
    -4205: "More than 20x leverage is available {} days after Futures account registration.",
    -4206: "Users in your location/country can only access a maximum leverage of {}.",
    -4208: "Current symbol leverage cannot exceed 20 when using position limit adjustment service.",
    -4209: "Leverage adjustment failed. Current symbol max leverage limit is {}x.",
    -4210: "Stop price is higher than price multiplier cap. Stop price can't be higher than {}.",
    -4211: "Stop price is lower than price multiplier floor. Stop price can't be lower than {}.",
    -4400: "Futures Trading Quantitative Rules violated, only reduceOnly order is allowed, please try again later.",
    -4401: "Futures Trading Risk Control Rules of large position holding violated, only reduceOnly order is allowed, "
    "please reduce the position.",
    -4402: "Dear user, as per our Terms of Use and compliance with local regulations, "
    "this feature is currently not available in your region.",
    -4403: "Dear user, as per our Terms of Use and compliance with local regulations, "
    "the leverage can only up to {}x in your region.",
    -4509: "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
    -5000: "Path {}, Method {} is invalid",
    -5021: "Due to the order could not be filled immediately, the FOK order has been rejected. "
    "The order will not be recorded in the order history.",
    -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected. "
    "The order will not be recorded in the order history.",
    -5027: "No need to modify the order.",
    -5028: "Timestamp for this request is outside of the ME recvWindow.",
    -5029: "Order's notional must be no smaller than {}.",
    -5041: "No depth matches this BBO order.",
    -5043: "A pending modification already exists for this order.",
}
# Named in Binance's change log; the page of error codes has no sentence for them.
MESSAGES |= {
    -4204: "Leverage adjustment is restricted for this account.",
    -4207: "Leverage adjustment is restricted for this symbol.",
    -4531: "Position side cannot be changed: USDⓈ-M and COIN-M must have the same.",
    -5047: "The modification would not be reduce only.",
}
AHEAD_OF_TIME = "Timestamp for this request was 1000ms ahead of the server's time."
CLIENT_ID_TOO_LONG = "Client order id length should be less than 36 chars"
BANNED = "Way too many requests; IP({}) banned until {}. Please use the websocket for live updates to avoid bans."
UNKNOWN_503 = "Unknown error, please check your request or try again later."
FAILED_503 = "Service Unavailable."

# General Info: business errors are 400, and so is whatever is not named here.
STATUSES = {-1000: 500, -1001: 503, -1002: 401, -1003: 429, -1006: 500, -1007: 408, -1008: 503, -1015: 429, -1016: 503}
STATUSES |= {-2014: 401, -2015: 401, -5000: 404}


class Refused(Exception):
    """The exchange says no: a Binance code, its message, and the HTTP status that carries it.

    `wait_s`: how many seconds its Retry-After header names.
    """

    def __init__(
        self, code: int, *details: object, message: str | None = None, status: int = 0, wait_s: int | None = None
    ) -> None:
        self.code = code
        self.message = message or MESSAGES.get(code, f"Error {code}.").format(*details or ("?", "?"))
        self.status = status or STATUSES.get(code, 400)
        self.headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
        super().__init__(f"{code} {self.message}")

    @property
    def body(self) -> dict[str, object]:
        """The JSON body Binance sends."""
        return {"code": self.code, "msg": self.message}
