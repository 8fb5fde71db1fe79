// Generated from lib/follow/source.ts by scripts/declarations.mjs: do not edit.
/** Where snapshots come from, and where they are kept. */
/** A content by its hash, and how many bytes it has. */
export interface Reference {
    hash: string;
    length: number;
}
/** A content as it is kept or carried. What is in it is known only once it was verified. */
export interface Content {
    encoding: 'raw' | 'zstd';
    bytes: Uint8Array;
}
/** Whether an engine hears of news, or has to ask. */
export type Hearing = {
    told: true;
} | {
    told: false;
    why: string;
};
/**
 * Where snapshots come from. A source carries bytes; what they mean, whether they are right, and when to ask again, the
 * engine decides. Whatever a method throws is the reason that is told: the engine asks again later.
 */
export interface Source {
    /**
     * The current head of a stream; nothing where it is the one with this hash. Of a slice the slice; where its content is the
     * one with this hash, no more than what stands before that.
     */
    head(stream: string, known: string | undefined): Promise<Uint8Array | {
        envelope: Uint8Array;
    } | undefined>;
    /** A content; nothing where the source does not have it. */
    content(reference: Reference): Promise<Content | undefined>;
    /** A head with all that it names, where that can be had at once. */
    pack?(stream: string): Promise<Uint8Array | undefined>;
    /** Tells the publisher what is in force, or what was refused. It is not waited for; where it fails, nobody is told. */
    report?(report: object): void | Promise<void>;
    /**
     * Calls back whenever something is new, from now on until it is closed. It is not waited for; where it fails, `hearing` of
     * the engine says why, and the engine goes on asking.
     */
    listen?(notify: () => void): void | Promise<void>;
    /** Ends what is under way. Nothing is asked any more. It is not waited for; where it fails, nobody is told. */
    close?(): void | Promise<void>;
    /** Whether it hears of news, where it is one that can. */
    readonly hearing?: Hearing;
}
/** Longest head, in bytes. */
export declare const MAX_HEAD_BYTES: number;
/** Longest content, in bytes. */
export declare const MAX_CONTENT_BYTES: number;
/** Longest pack that is fetched, in bytes. A longer one is fetched in pieces, whose lengths the head vouches for. */
export declare const MAX_PACK_BYTES: number;
/** A content whose first bytes say whether it is compressed: contents are JSON, which never begins like a zstd frame. */
export declare function contentOf(bytes: Uint8Array): Content;
