// Generated from lib/machine.ts by scripts/declarations.mjs: do not edit.
/** Machines of workflows. */
import type { Allowed, CoveringPaths, MachineAbout, MoveExplanation, TransitionAnswer } from './answers.js';
/** What is known of an item that is to move. */
export interface Context {
    /** Inputs of guards by name: booleans, integers, texts and lists of texts. */
    inputs?: Readonly<Record<string, boolean | number | string | readonly string[]>>;
    /** The roles of whoever asks. */
    roles?: readonly string[];
}
/** A tenant's machine of a workflow, as it was when it was asked for. */
export declare class Machine {
    #private;
    /** What it is made of: workflow, version, stages, and the inputs of its guards. */
    get about(): MachineAbout;
    /** What may be done at a stage: every transition of the machine, with all that blocks it. */
    transitions(stage: string, context?: Context): TransitionAnswer[];
    /**
     * Whether an item may move from one stage to another, and by which transition.
     * @throws {TransitionError} `guard_failed`, with all that stands against it.
     * @throws {QuestionError} `illegal_transition`, `unknown_stage`.
     */
    check(from: string, to: string, context?: Context): Allowed;
    /** Why a move is what it is. */
    explain(from: string, to: string, context?: Context): MoveExplanation;
    /** Paths that take every transition, with inputs that open them. */
    coveringPaths(): CoveringPaths;
    /** A picture of it, or of what it changes over an older machine: as Mermaid, DOT or SVG. */
    picture(form: 'mermaid' | 'dot' | 'svg', options?: {
        language?: 'en' | 'ar';
        current?: string;
        against?: Machine;
    }): string;
}
