// Generated from lib/follow/events.ts by scripts/declarations.mjs: do not edit.
/** Server-sent events: a text of lines, of which an empty one ends each event. */
/** One event, as far as it is of interest here. */
export interface ServerEvent {
    name: string;
    data: string;
}
/** Takes a stream of events apart, piece by piece as it comes. */
export declare class Events {
    #private;
    /** The events that are complete with this piece. Throws for what cannot be events. */
    take(piece: Uint8Array): ServerEvent[];
}
