import { scaleLinear } from 'd3-scale';
import { line } from 'd3-shape';
import { useRef } from 'preact/hooks';
import { useWidth } from './canvas.js';
import { textScale } from './grid-layout.js';

export type Point = readonly [x: number, y: number];

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
  /** The style of the line; see styles/charts.css. Lines differ by weight and dashes, not by colour alone. */
  readonly look: 'main' | 'faint' | 'dashed';
}

interface LineChartProps {
  /** Description of the picture with its latest values, for screen readers. */
  readonly label: string;
  readonly series: readonly Series[];
  readonly xTitle: string;
  /** True if only whole numbers have a tick below the axis. */
  readonly isCounted?: boolean;
  readonly yFormat: (value: number) => string;
  /** Minimum ranges of the axes. */
  readonly xRange?: Point;
  readonly yRange?: Point;
}

/** Height at a root font size of 16 pixels. */
const HEIGHT = 220;
const MARGIN = { left: 52, right: 14, top: 12, bottom: 38 };

/** Lines over a common axis. */
export function LineChart({ label, series, xTitle, isCounted = false, yFormat, xRange, yRange }: LineChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const scale = textScale();
  // The picture's units scale with the page's text.
  const width = useWidth(frame) / scale;
  const points = series.flatMap((one) => one.points);
  const x = scaleLinear()
    .domain(
      extent(
        points.map(([at]) => at),
        xRange,
      ),
    )
    .range([MARGIN.left, Math.max(MARGIN.left + 1, width - MARGIN.right)]);
  const y = scaleLinear()
    .domain(
      extent(
        points.map(([, value]) => value),
        yRange,
      ),
    )
    .range([HEIGHT - MARGIN.bottom, MARGIN.top])
    .nice(4);
  const ticks = x.ticks(Math.max(2, width / 90)).filter((tick) => !isCounted || Number.isInteger(tick));
  const path = line<Point>(
    ([at]) => x(at),
    ([, value]) => y(value),
  );
  return (
    <div class="line-chart" ref={frame}>
      {width > 0 && (
        <svg
          role="img"
          aria-label={label}
          width={width * scale}
          height={HEIGHT * scale}
          viewBox={`0 0 ${width} ${HEIGHT}`}
        >
          {y.ticks(4).map((tick) => (
            <g key={tick} transform={`translate(0 ${y(tick)})`}>
              <line class="grid-line" x1={MARGIN.left} x2={width - MARGIN.right} />
              <text class="tick" x={MARGIN.left - 8} dy="0.35em" text-anchor="end">
                {yFormat(tick)}
              </text>
            </g>
          ))}
          {ticks.map((tick) => (
            <text key={tick} class="tick" x={x(tick)} y={HEIGHT - MARGIN.bottom + 16} text-anchor="middle">
              {tick.toLocaleString('en').replace('-', '−')}
            </text>
          ))}
          <text class="axis-title" x={width - MARGIN.right} y={HEIGHT - 4} text-anchor="end">
            {xTitle}
          </text>
          {series.map(({ name, points, look }) => (
            <path key={name} class={`series ${look}`} d={path([...points]) ?? ''} />
          ))}
        </svg>
      )}
      {series.length > 1 && (
        <ul class="legend">
          {series.map(({ name, look }) => (
            <li key={name}>
              <svg width="28" height="10" aria-hidden="true">
                <path class={`series ${look}`} d="M0 5H28" />
              </svg>
              {name}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function extent(
  values: readonly number[],
  [least, most]: Point = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
): Point {
  const low = values.reduce((a, b) => Math.min(a, b), least);
  const high = values.reduce((a, b) => Math.max(a, b), most);
  return low < high ? [low, high] : [Math.min(low, 0), Math.max(high, 1)];
}
