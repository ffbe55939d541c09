/** Hears of what goes wrong while requests are decided: a place such as `AuthController.login`, and what. */
export type Report = (place: string, what: string, error?: unknown) => void;
